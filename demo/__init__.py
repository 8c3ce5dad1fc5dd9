"""The demonstration region (架空) and the main job played in it, over HTTP only. No service imports this."""
