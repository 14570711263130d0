"""Requests of the contract to commands and queries: everything that can be checked without knowing the account.

Every function takes a request message and gives domain values, or raises one `GatewayError`: INVALID_FIELD with all
the violations that were found, else PAGE_TOKEN_INVALID. Unknown
fields are ignored, as protobuf does. One module a noun.
"""
