"""What every service stands on. It knows no service; services never meet here, only in `shared.events`."""
