"""What goes wrong on the page is told in a line to the visitor, or to the log, never as a traceback."""

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.guard import refuse_foreign_files
from impasto.apps.studio.journal import short
from impasto.apps.studio.showing import Update
from impasto.errors import ImpastoError

__all__ = ["Blocks", "in_words"]

Handler = Callable[..., Iterator[Update]]

_LOG = logging.getLogger(__name__)


class Blocks(gr.Blocks):
    """Refuse the URLs sent in place of uploaded files, which Gradio would fetch, and tell what
    breaks in a line, where it would print a traceback.
    """

    async def process_api(self, **event: Any) -> Any:  # type: ignore[override]
        words = "This did not work. Try again, or reload the page."
        try:
            refuse_foreign_files(event["inputs"])
            return await super().process_api(**event)
        except gr.Error:
            raise
        except ImpastoError as error:
            words = look.sentence(error)
        except Exception as error:
            _LOG.warning("an event of the page failed: %s", short(error))
        raise gr.Error(escape(words), print_exception=False)


def in_words(handler: Handler) -> Handler:
    """What is the visitor's to mend is said on the page, and the page rests as before."""

    @wraps(handler)
    def told(self: Any, request: gr.Request, *given: Any) -> Iterator[Update]:
        yield {self.status: gr.skip()}  # a handler that yields nothing would empty all there is
        try:
            yield from handler(self, request, *given)
        except ImpastoError as error:
            gr.Warning(escape(look.sentence(error)), title="That did not work", duration=12)
            yield self.back(request)
        except Exception:
            _LOG.exception("the page failed at %s", handler.__name__)
            gr.Warning("Something went wrong here. Try again, or reload the page.", duration=12)
            yield self.back(request)
        # Gradio sends the last of these twice, and a newer wish may have been answered in between.
        yield {self.status: gr.skip()}

    return told
