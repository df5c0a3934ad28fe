"""What one message costs: this project beside three peers, on one core each, behind one stamped upstream.

Every token carries the upstream's own clock, so that each figure is what the server alone adds.
"""
