"""How people sign in: sessions and sign-in links."""
