"""What one message costs the server: this project beside three peers, on one core each, behind one stamped upstream.

Every token carries the upstream's own time stamp, so that each figure is what the server alone adds.
"""
