"""Turns of phrase that stand for one word or for none, so that what is left can be read word by word.

Words in capitals are marks for `references.py`: NEG (what follows is not meant), NEAR and NEAR? (what
follows is where a thing stands; the second is not understood), TOP, BOTTOM, STATE (of a drawer) and OFPL (of
several).
"""

from __future__ import annotations

import re

from ideomotor.sim.instructions.vocabulary import HANDS, QUESTIONS

_THE = r"(the|a|an|that|this|your|its|my)"
_HAND = rf"{_THE}? ?((robot|robotic|closed|open) )*({HANDS})"
_SHORT = r"(moment|second|minute|sec|bit)"
_SEVERAL = r"(the|these|those|all)( the)?( two| three| four)?"

_PHRASES: tuple[tuple[str, str], ...] = (
    # short forms, and politeness that negates nothing
    (r"n't\b", " not"),
    (r"\b(can|won|shan) ?not\b", r"\1 not"),
    (r"'(s|re|m|ve|d|ll)\b", " "),
    (r"\b(can|could|will|wo|would|wont|why|do) (do )?not (you|we)\b", " "),
    (r"\b(would|do) not mind\b|\b(do )?not (forget|hesitate) to\b", " "),
    (r"\bnot (yet|too \w+|so \w+)\b|\bno ,", " "),
    (
        r"\bif (possible|needed|you (can|could|like|want|please|may|would|do)( (like|please|be so kind))*)\b",
        " ",
    ),
    (r"\bif (it|that) (is|works|be) (ok|okay|possible|alright|fine|not too \w+)\b", " "),
    (r"\b(let us |want to |would like to |to )see (if|whether|you|it)\b|\bsee to it that\b", " "),
    (rf"\bat (the|this) (moment|end)\b|\b(in|for) (a|one) {_SHORT}\b", " "),
    (r"\b(a|one) (little )?(bit|few|touch|couple of)\b", " "),
    (r"\ba little\b(?= (to|left|right|up|further|more|over))", " "),
    # what is not meant
    (r"\b(instead of|rather than|other than|except for|except|anything but|but not|apart from)\b", " NEG "),
    (r"\b(not|without|ignore|avoid|skip|never|nor)\b", " NEG "),
    (r"\bleave (.{2,40}?) (alone|be|out|untouched|where it is|as it is)\b", r" NEG \1 , "),
    # the hand, as a tool or as what is moved
    (rf"\b(use|using|with) {_HAND}( to)?\b|\b(use|using|by|with) (the|its) handle( to)?\b", " "),
    (rf"\b(bring|put|lower) {_HAND} down on\b", " press "),
    (rf"\b(close|open|shut) {_HAND}( (on|around|onto))?\b", " "),
    (
        r"\b(move|bring|put|get|drive|place|position|park|send|take|swing|steer|guide|hold|point|keep|stop|lay|"
        rf"rest|set|have) {_HAND}\b",
        " goto ",
    ),
    (
        r"\b(go|going|move|moving|come|coming|head|drive|fly|swing|travel|get|steer|navigate|run|stop|stay|"
        r"wait) ((straight|right|back|on|all the way|just|directly|up|down|over|across|it|close|near) )*"
        r"(?=(to|towards?|above|over|next|nearby|near)\b)(?!(to|towards) (the |its )?(left|right|side)\b)",
        " goto ",
    ),
    (r"\bwhere (is|are)\b|\bwheres\b", " goto "),
    # verbs of several words
    (r"(^|\b(please|and|then|to|you|now) )(switch|turn) (on|off)\b|\bset off\b", r" press "),
    (r"\b(hand|pass) (me|us|over|it)\b", " pass "),
    (r"\b(grip|hold|grasp)\b(?= (on|of)\b)", " grasp "),
    (r"\bends? up\b", " end "),
    # sides and places
    (r"\b(left|right) hand\b", r"\1"),
    (
        r"\bright (now|away|there|here|next|in|into|on|onto|over|above|up|down|beside|behind|at|where)\b",
        r"\1",
    ),
    (r"\b(left|right)wards?\b", r"to the \1"),
    (
        r"\b(to|on|at|from)? ?(the |its )?(far )?(left|right)( side)? of\b"
        r"(?! (the )?(two|three|four|these|those))",
        " NEAR? ",
    ),
    (r"\b(in front of|behind|between|opposite|across from)\b", " NEAR? "),
    (r"\b(next|close|closer|closest|nearest|adjacent) to\b", " NEAR "),
    (r"\b(beside|alongside|nearest|near|by)\b(?= (the|a|that|this)\b)", " NEAR "),
    (r"\b(up )?(in|into) the air\b", " "),
    (r"\bon (the )?top of\b|\bon to\b|\batop of\b", " on "),
    (r"\bin to\b", " in "),
    (r"\b(out of|off of|away from|off from)\b", " from "),
    (r"\b(at|on|to|as|for) the (bottom|base)\b(?! of)", " BOTTOM "),
    (r"\b(below|underneath|beneath)( it)?\b(?!( (the|a|that|this|your|my))? \w+)", " BOTTOM "),
    (r"\b(on|at|to) (the )?top\b(?! of)|\bup top\b|\babove\b(?= [,.;!]|$| and\b)", " TOP "),
    (r"\b(?:is|are|was) (?:still |already |currently |now )?(open|closed|shut)\b", r" STATE \1 "),
    (rf"(?<=[srt]) of {_SEVERAL}\b|(?<=one) of {_SEVERAL}\b", " OFPL "),
)
_REWRITES = tuple((re.compile(pattern), new) for pattern, new in _PHRASES)


def plain(instruction: str) -> str:
    """Lower case, words and punctuation with spaces between."""
    return " ".join(re.findall(r"[a-z']+|[0-9]+|[,;:.!?]", instruction.lower().replace("’", "'")))


def simplified(text: str) -> str:
    """A `plain` text with its turns of phrase replaced."""
    for pattern, new in _REWRITES:
        text = " ".join(pattern.sub(new, text).split())
    return text


def is_question(text: str) -> bool:
    """Whether a `plain` text asks for an answer, not for an action."""
    text = re.sub(r"^((please|hey|hi|hello|ok|okay|so|robot|now)\b[ ,]*)+", "", text)
    words = re.sub(r"[ ,.!?;]+$", "", text)
    if re.search(r"[.!?;:]|\bsee (to|if|whether)\b", words):
        return False
    if re.match(r"(where|how about|what about|what if)\b", words):
        return False
    knows = r"(tell|know|recogni[sz]e|identify|remember|see)"
    asks = rf"(can|could|do|did|would) (you|we|it|the robot|the arm) {knows}\b|do (you|we|they)\b"
    return words.split(" ")[0] in QUESTIONS - {"have", "do"} or re.match(asks, words) is not None
