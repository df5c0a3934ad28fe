"""The process as a whole: health, start, shutdown, metrics and upstream, and several processes on one port."""
