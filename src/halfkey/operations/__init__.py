"""What a role shows its operator: metrics, health, logs, and how it is asked to stop.

Nothing in here names a participant, a person or a conference: who reads figures and logs needn't
be trusted with who meets whom.
"""
