# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of golden folders that make.py makes; rules_*.py fill it. A name keeps its number."""
import dataclasses

TABLE = []
ETH = "eth-src=02:00:00:00:00:02 eth-dst=02:00:00:00:00:22"
ETH_BACK = "eth-src=02:00:00:00:00:01 eth-dst=02:00:00:00:00:11"


@dataclasses.dataclass
class Rule:
    name: str
    about: tuple  # one or two lines: the rule, and where it comes from
    flows: list
    send: dict  # by port: a list of frames, or one for each receive queue
    forwarded: int  # how many frames of 'send', and how many of each reason are not
    punts: dict
    config: str = ""

    def __post_init__(self):
        self.send = {port: frames if isinstance(frames[0], list) else [frames]
                     for port, frames in self.send.items()}
        assert sum(len(f) for queues in self.send.values() for f in queues) == (
            self.forwarded + sum(self.punts.values())), f"{self.name}: what is sent is not told"


def rule(name, about, flows, send, forwarded, config="", **punts):
    """'name' is NUMBER-WORDS; 'about' is the rule and its source, with '|' between them; words of
    'punts' have '_' for '-'. Without a word of where, frames enter lan."""
    if not isinstance(send, dict):
        send = {"lan": send}
    TABLE.append(Rule(name, tuple(s.strip() for s in about.split("|")),
                      [flows] if isinstance(flows, str) else list(flows), send, forwarded,
                      {k.replace("_", "-"): v for k, v in punts.items()}, config))


def flow(proto, src, dst, more="", way="in=lan out=wan", eth=ETH):
    """The line of a flow."""
    return " ".join(f"{way} proto={proto} from={src} to={dst} {more} {eth}".split())


def back(proto, src, dst, more="", way="in=wan out=lan", eth=ETH_BACK):
    """The line of the reply to the line before."""
    return flow(proto, src, dst, more, way, eth) + " reply"

