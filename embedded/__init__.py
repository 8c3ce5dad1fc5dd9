"""What the embedded default needs beside the services: a real PostgreSQL out of a wheel, run in a folder of its own."""
