"""A Django project of somebody else: a help desk that answers from a handbook. No chat, no Channels."""
