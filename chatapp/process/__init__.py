"""What concerns this process as a whole: how it ends, and how several of them serve one port."""
