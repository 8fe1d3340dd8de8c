"""What `volley plugin build` compiles: the rule, and words for what goes wrong in it.

To a server an exception that nobody catches is a trap without any; with them in the log, it says them to whoever asks what
failed. (The traceback that Python would print needs files, and there are none.)
"""

from typing import Any, Callable

import rule
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.handler import PluginInfo
from wit_world.imports import logger
from wit_world.imports.types import Event, Outcome, Refusal_Invalid, Refusal_Refused

# Found here, it is found when the rule is built.
if missing := sorted(getattr(rule.Handler, "__abstractmethods__", ())):
    raise TypeError(f"the rule's Handler has no {', '.join(missing)}")


def words(error: BaseException) -> str:
    """What it is and where it was raised, the innermost function first."""
    try:
        what = f"{error.value!r}" if isinstance(error, Err) else f"{type(error).__name__}: {error}"
    except Exception:  # such as of a __str__ of the rule's own
        what = type(error).__name__
    what = what.encode(errors="replace").decode()
    frames = []
    here = error.__traceback__
    while here is not None:
        code = here.tb_frame.f_code
        if code.co_filename != __file__:
            frames.append(f"{code.co_name} at {code.co_filename.rsplit('/', 1)[-1]}:{here.tb_lineno}")
        here = here.tb_next
    return f"{what} ({', '.join(reversed(frames[-3:]))})" if frames else what


def told(name: str, refusals: tuple[type, ...], *arguments: Any) -> Any:
    """An export of the rule's, which may raise those refusals on purpose."""
    try:
        return getattr(rule.Handler(), name)(*arguments)
    except BaseException as error:
        if not (type(error) is Err and isinstance(error.value, refusals)):
            logger.log(logger.Level.ERROR, words(error))
        raise


class Handler(exports.Handler):
    def info(self) -> PluginInfo:
        return told("info", ())

    def init(self, config: str) -> None:
        told("init", (str,), config)

    def route(self, event: Event) -> Outcome:
        outcome = told("route", (Refusal_Refused, Refusal_Invalid), event)
        if not (hasattr(outcome, "deliveries") and hasattr(outcome, "remove")):
            wrong = f"route has to return an Outcome, or to raise an Err with a refusal; it returned {outcome!r}"
            logger.log(logger.Level.ERROR, wrong)
            raise TypeError(wrong)
        return outcome
