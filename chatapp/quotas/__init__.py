"""What a person, a group and everybody together may send and spend: limits, the count of it, and who met one."""
