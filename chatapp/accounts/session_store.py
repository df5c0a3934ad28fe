"""The session engine: Django's sessions in the database, which tell the open sockets when one ends.

Whatever signs a person out (`logout()`, the admin's page, a new session key after a new password) deletes the session
through this store. What goes around it (`clearsessions`, SQL) is found by the sockets' own look at their sessions.
"""

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db

from chatapp.accounts import session_ends
from warmcache.background.database import in_database_thread


class SessionStore(db.SessionStore):
    """Keeps the name of its base, because Django signs the sessions with it."""

    def delete(self, session_key: str | None = None) -> None:
        """Reads the row first, as its base does: by now `flush` has emptied the session in memory."""
        session = self.model.objects.filter(session_key=session_key or self.session_key).first()
        if session is None:
            return
        session.delete()
        user_id = self.decode(session.session_data).get(SESSION_KEY)
        if user_id is not None:
            session_ends.announce(int(user_id))

    async def adelete(self, session_key: str | None = None) -> None:
        await in_database_thread(self.delete, session_key)
