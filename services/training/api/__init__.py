"""The HTTP door: shapes, permissions and status codes of courses, seats and the steps that follow."""
