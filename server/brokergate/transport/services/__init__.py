"""The contract's services, one module each: from message to command, and from answer to message. Nothing of gRPC, and
no rule of trading."""
