"""What runs beside a request: tasks that somebody owns, timers, threads for the database."""
