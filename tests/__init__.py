"""The tests of brokergate; what each folder holds is said in ARCHITECTURE.md."""
