"""How people come in: sessions and sign-in links."""
