"""What hurts people with other systems, each pain by a test that bears its name: against the brokers' emulators, with
the real engine and adapter. `docs/pains.md` says which test holds which pain, or why it cannot happen here."""
