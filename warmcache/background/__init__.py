"""Work outside of a request: tasks with an owner, timers, threads for the database."""
