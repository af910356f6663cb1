# MuJoCo's bindings are compiled and ship no type information, so type checkers would report every name of
# theirs as unknown. This stub says instead that nothing is known about them.
from typing import Any

def __getattr__(name: str) -> Any: ...
