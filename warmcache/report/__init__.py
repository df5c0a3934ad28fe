"""What warming cost and what it gained: read from the ledger, computed, written as text and as JSON.

rows      plain values of the ledger's rows, synchronous
figures   pure: rows in, a `Report` out
words     the same report as text, and as JSON values
"""
