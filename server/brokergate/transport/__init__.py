"""gRPC: the contract's services over sockets, who may call them, and what goes back when they fail.

`server.GatewayServer` is the way in; its docstring says how `app` uses it.
"""
