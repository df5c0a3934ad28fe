"""What must hold once all is quiet: acks, rows and what clients were told agree."""

from collections.abc import Sequence

from tests.durability.client import TERMINAL, Client
from tests.servers.chat_server import ChatServer


def violations(clients: Sequence[Client], server: ChatServer) -> list[str]:
    """Sentences; an empty list is what we want."""
    return [sentence for client in clients for sentence in (*client.anomalies, *_of(client, server))]


def _of(client: Client, server: ChatServer) -> list[str]:
    place = client.conversation_id
    if place is None:
        return [f"{client.name} never got a conversation"]
    key = place.replace("-", "") if server.database_url.startswith("sqlite") else place
    rows = server.query(
        "SELECT id, role, status, text, client_message_id FROM chatapp_message WHERE conversation_id = ? "
        "ORDER BY created_at, id",
        key,
    )
    asked = [_hex(row[4]) for row in rows if row[1] == "user"]
    acked = [_hex(one) for one in client.acked]
    found = []
    if lost := [one for one in acked if one not in asked]:
        found.append(f"{client.name}: acked and lost: {lost}")
    if len(set(asked)) < len(asked):
        found.append(f"{client.name}: doubled: {asked}")
    if [one for one in asked if one in acked] != acked:
        found.append(f"{client.name}: reordered: sent {acked}, stored {asked}")
    stored = {_hex(row[0]): (row[2], row[3]) for row in rows if row[1] == "assistant"}
    found += [f"{client.name}: still streaming: {one}" for one, (status, _) in stored.items() if status not in TERMINAL]
    for reply_id, seen in client.replies.items():
        status, text = stored.get(_hex(reply_id), ("missing", ""))
        if (seen.status, seen.text) != (status, text):
            found.append(
                f"{client.name}: reply {reply_id} was told as {seen.status} with {len(seen.text)} characters "
                f"and is stored as {status} with {len(text)}"
            )
    return found


def _hex(value: object) -> str:
    return str(value).replace("-", "")
