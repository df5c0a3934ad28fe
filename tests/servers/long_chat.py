"""Creates a conversation of any length in a server's database and prints its id. Run as a process of its own.

python -m tests.servers.long_chat USERNAME MESSAGES CHARACTERS_EACH
"""

import os
import sys

import django

from tests.servers.chat_server import ChatServer
from tests.servers.fork_server import output_of


def long_chat(server: ChatServer, username: str, *, messages: int, characters: int = 40) -> str:
    """The id of a new conversation with the demo's small assistant; message N begins with `Message N`."""
    program = ["-m", "tests.servers.long_chat", username, str(messages), str(characters)]
    return output_of(program, environment=server.environment()).strip()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    from chatapp.models import Assistant, User
    from tests.factories import make_conversation, make_talk

    username, messages, characters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    conversation = make_conversation(
        User.objects.get(username=username), Assistant.objects.get(slug="small-talk"), title="A long talk"
    )
    make_talk(conversation, [f"Message {number} ".ljust(characters, "x") for number in range(messages)])
    print(conversation.pk)  # noqa: T201


if __name__ == "__main__":
    main()
