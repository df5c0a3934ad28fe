"""The tutorial's chat with a memory: message, reply and the whole history in SQLite, through the async ORM."""
