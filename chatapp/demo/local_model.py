"""A real model on this machine for the demo: a real cache, and the answers of a toy."""

import os
import secrets
import sys
from pathlib import Path

from django.conf import settings

from chatapp.demo import local_model_server
from chatapp.demo.content import AssistantSpec
from warmcache.upstream.child_server import ChildServer

MODEL = "smollm2-135m"
LOG = "local-model.log"
NOTE = "a toy of 135 million parameters: real cache, toy answers"


class LocalModel(ChildServer):
    """llama.cpp's server with SmolLM2 135M, reachable from this machine only and with a key made for this run."""

    def __init__(self) -> None:
        self.api_key = f"local-{secrets.token_hex(8)}"
        script = str(Path(local_model_server.__file__))
        super().__init__(
            [sys.executable, script, self.api_key, MODEL, str(settings.BASE_DIR / "var" / LOG)],
            name="The local model",
            way_on=f"var/{LOG} may say more.",
            # Threads that spin while they wait collapse as soon as a browser wants one of the cores.
            environment={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )


PROMPT = """You are a helpful assistant. You answer questions of visitors to the island of Ostra in one or two short
sentences. You only use what stands here.

The island. Ostra lies in the northern sea, forty kilometres from the coast. It is nine kilometres long and four wide.
The only town is called Port Ostra. About two thousand people live there. The highest hill is the Kettle, 212 metres
high. From the Kettle you can see the whole island and, on clear days, the coast.

The ferry. The ferry leaves the mainland at 8 in the morning and at 4 in the afternoon. It leaves Port Ostra at 10 in
the morning and at 6 in the evening. The crossing takes ninety minutes. A ticket costs 12 crowns for one person and 30
crowns for a family. Bicycles travel free. Dogs must be on a lead. In a storm the ferry does not sail, and a red flag
flies over the harbour.

Where to sleep. The Harbour Hotel has thirty rooms and stands beside the ferry. The Lighthouse Hostel has beds for
sixteen people and a kitchen for everybody. The camp site is on the west beach, and it is open from May to September.

Where to eat. The Blue Boat serves fish every evening from 5 to 9. The bakery on Mill Street opens at 6 in the morning
and sells bread, cakes and coffee. The cafe on the Kettle is open when the flag is up.

What to see. The lighthouse was built in 1874 and has 143 steps. It is open on Saturdays and Sundays from 11 to 3. The
museum on Mill Street shows old boats, maps and the bones of a whale. It is closed on Mondays. Seals rest on the rocks
in the north; please stay fifty metres away from them. Puffins nest on the east cliffs from April to July.

Getting around. There are no cars for visitors. A bus drives around the island every hour from 7 to 7, and a ride costs
2 crowns. Bicycles can be rented beside the ferry for 8 crowns a day. Walking around the whole island takes about seven
hours.

Help. The doctor is in Port Ostra, behind the church. The number for emergencies is 112. The tourist office is in the
harbour and is open every day from 9 to 5."""

ASSISTANT = AssistantSpec(
    slug="toy-model",
    fields={
        "name": "Island guide (toy model)",
        "description": "135 million parameters on this machine: a real cache, toy answers.",
        "model": MODEL,
        "max_output_tokens": 256,
        "system_prompt": PROMPT,
    },
)
"""Its prompt of about 600 tokens takes two seconds to read on two cores and leaves most of the model's context free."""
