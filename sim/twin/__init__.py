"""The twin: a simulated arm behind a pseudo-terminal that speaks its servos' own protocol.

A program that drives the real arm drives the twin without knowing it, and every fault of a real line of
servos can be made to happen (`faults.py`). `process.start_twin` gives one to a program, `ideomotor twin`
to a person.
"""
