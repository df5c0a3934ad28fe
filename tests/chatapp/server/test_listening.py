"""An address that cannot be listened on is told in a sentence."""

import pytest

from chatapp.server.listening import ListenError, listen


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_number_that_is_no_port_is_told_in_a_sentence(port):
    with pytest.raises(ListenError, match=f"{port} is no port"):
        listen("127.0.0.1", port)
