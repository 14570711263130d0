"""Bad input: every field tried wrong, thousands of made-up requests, and what no stub would ever send."""
