"""The terminal of ``ramster top``: keys, colours, asking every so often.

Covers: the shell around the picture, built with Textual. Does not cover: what is in the picture
(``frame.py``), asking (``source.py``).

What nodes send reaches the screen as styled text, never as markup.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from ramster.event_log import show_error
from ramster.stats_client import StatsError
from ramster.top.frame import View, ordered, picture
from ramster.top.history import History
from ramster.top.layout import Line

__all__ = ["HELP", "Answered", "Help", "TopApp", "styled"]

STYLES = {
    "title": "bold",
    "dim": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "chosen": "reverse",
    "bar": "cyan",
}

HELP = """\
up, down   choose a node; below the tables stand its peers
enter      look at the chosen node alone; enter or escape: back
s          order of the nodes: cluster, name, pool, pages, spill
p          pause, and go on
q          quit

local, same   pages here: compressed, or of one word repeated
transit       on their way to a peer
away          at peers, or in the write-back file
silent        away, and the peer does not answer
lost          away, and the peer's memory is gone
short         with fewer copies than they should have
guests, lent  pages held for other nodes, and the room they take
"""


class Answered(Message):
    """The node answered, or why it did not."""

    def __init__(self, answer: Mapping[str, Any] | None, failure: str = "") -> None:
        super().__init__()
        self.answer = answer
        self.failure = failure


class Help(ModalScreen[None]):
    """What the keys and the words mean; any key ends it."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help Static { width: 72; height: auto; border: round $accent; padding: 1 2; }
    """

    def compose(self) -> ComposeResult:
        """See ``Screen``."""
        yield Static(HELP, markup=False)

    def on_key(self) -> None:
        """Any key ends it."""
        self.dismiss()


class TopApp(App[None]):
    """The live view. ``fetch`` gives an answer or raises StatsError, off the event loop."""

    TITLE = "ramster top"
    ENABLE_COMMAND_PALETTE = False
    CSS = "#picture { width: auto; height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("p", "pause", "pause"),
        Binding("s", "sort", "sort"),
        Binding("up", "choose(-1)", "node", show=False, priority=True),
        Binding("down", "choose(1)", "node", show=False, priority=True),
        Binding("enter", "alone", "one node"),
        Binding("escape", "together", "all", show=False),
        Binding("question_mark", "help", "help", key_display="?"),
    ]

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, Any]],
        url: str,
        interval_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.history = History()
        self.view = View(url=url)
        self._fetch = fetch
        self._interval_s = interval_s
        self._now = now
        self.asking = False
        """Whether an answer is awaited."""

    def compose(self) -> ComposeResult:
        """See ``App``."""
        with VerticalScroll():
            yield Static(id="picture", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to ask."""
        self.set_interval(self._interval_s, self._ask_again)
        self.set_interval(1.0, self.draw)  # the age of a picture grows without answers, too
        self._ask_again()

    def on_resize(self) -> None:
        """The picture is as wide as the terminal."""
        self.draw()

    # -- asking ------------------------------------------------------------------------------------

    def _ask_again(self) -> None:
        if not self.asking and not self.view.paused:
            self.asking = True
            # A thread of its own that nobody waits for: a node that hangs must not hold up the end.
            threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        try:
            answer = self._fetch()
        except StatsError as error:
            self.post_message(Answered(None, str(error)))
        except Exception as error:  # noqa: BLE001  shown; without a word nobody would ask again
            self.post_message(Answered(None, f"the answer cannot be used: {show_error(error)}"))
        else:
            self.post_message(Answered(answer))

    def on_answered(self, said: Answered) -> None:
        """An answer came, or it is clear that there is none."""
        self.asking = False
        if said.answer is None:
            self.history.fail(said.failure, self._now())
        elif not self.view.paused:
            self.history.take(said.answer, self._now())
        self.draw()

    # -- showing -----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show the history as it is now."""
        lines = picture(self.history, self.view, self.size.width, self._now())
        for shown in self.query("#picture").results(Static):
            shown.update(styled(lines))

    def action_pause(self) -> None:
        """Stop asking, or begin again."""
        self.view = replace(self.view, paused=not self.view.paused)
        self._ask_again()
        self.draw()

    def action_sort(self) -> None:
        """The next order."""
        self.view = self.view.sorted_otherwise()
        self.draw()

    def action_choose(self, step: int) -> None:
        """The node above or below."""
        names = [track.name for track in ordered(self.history, self.view.sort)]
        if names:
            before = self.view.chosen if self.view.chosen in names else self.history.asked
            place = names.index(before) + step if before in names else 0
            self.view = replace(self.view, chosen=names[place % len(names)])
            self.draw()

    def action_alone(self) -> None:
        """The chosen node only, or all again."""
        self.view = replace(self.view, alone=not self.view.alone)
        self.draw()

    def action_together(self) -> None:
        """All nodes."""
        self.view = replace(self.view, alone=False)
        self.draw()

    def action_help(self) -> None:
        """Say what keys and words mean."""
        self.push_screen(Help())


def styled(lines: Sequence[Line]) -> Text:
    """Lines as text with colours; nothing in them is taken for markup."""
    shown = Text(no_wrap=True, end="")
    for one in lines:
        for cell in one:
            shown.append(cell.text, STYLES.get(cell.style, ""))
        shown.append("\n")
    return shown
