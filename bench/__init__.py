"""What `make bench` measures: the numbers that Portico promises, each beside its budget.

Machines are noisy, so a ratio is always of two things measured in turn within one run, and what is absolute stands
beside a calibration of the machine. Everything runs on loopback, on free ports, in a temporary folder, and ends with
the bench.
"""
