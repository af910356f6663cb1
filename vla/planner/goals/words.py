"""Words that goals are said in: data that `goals/reader.py` reads with."""

from __future__ import annotations

import re

from ideomotor.vla.planner.things import COLOURS, GRASPABLE

# Turns of phrase that stand for one word or for none. Words in capitals are marks.
_PHRASES: tuple[tuple[str, str], ...] = (
    (r"\b(can|could|would|will) (you|we)\b|\bi (would|'d) like( you)?( to have)?\b", " "),
    (r"\bi (want|need)( you)?( to)?\b|\b(we|you) (want|need|have|should|must)( to)?\b", " "),
    (r"\b(make|be) sure( that)?\b|\b(bring it about|see to it|ensure)( that)?\b|\bit is time to\b", " "),
    (r"\bthere (should|must|has to|have to|are to|is to) be\b|\bplease\b|\bgo and\b|\blet'?s\b", " "),
    (r",? ?\bwhich (has|must|should|is)( to)? be (shut|closed)( in the end| afterwards)?", " THEN close it "),
    (r"\b(should|must|shall|(has|have|needs?|is|are) to|to) (be|end up|stand|lie|rest|go)\b", " IS "),
    (r"\b(no more and no less|not? (more|fewer|less)( than that)?|exactly|precisely)\b", " EXACTLY "),
    (r"\b(and )?(leave|without) (all )?(the )?(rest|others?|other (things|objects|ones))"
     r"( alone| where (they|it) (are|is))?\b", " NOELSE "),
    (r"\b(and )?(nothing|none|no (other|more)( things?| objects?| ones?)?|no one)( else)?\b", " NOELSE "),
    (r"\b(only|just|solely)\b", " NOELSE "),
    (r"\b(a|the) kit( is| of| from| with)?\b", " KIT "),
    (r"\b(for|as|pack|make|assemble|build|prepare|put together)\s+KIT\b", " KIT "),
    (r"\b(of|in|with|that has) (its|their|his|the same|that|the matching)( own)? colou?rs?\b", " MATCHING "),
    (r"\bwith the same colou?r\b", " MATCHING "),
    (r"\bby (their )?colou?rs?\b|\baccording to (its|their|the) colou?rs?\b", " BYCOLOUR "),
    (r"\bfrom (the )?bottom( up)? to (the )?top\b|\bfrom (the )?bottom up\b", " UPWARDS "),
    (r"\bfrom (the )?top( down)? to (the )?bottom\b|\bfrom (the )?top down\b", " DOWNWARDS "),
    (r"\bin (this|that|the following|the given) order\b", " "),
    (r"\bon( the)? top of\b|\batop\b", " on "),
    (r"\b(to|on|at|with|of)( the| its)? top\b|\bat the very top\b", " TOP "),
    (r"\b(to|on|at|with)( the| its)? (bottom|base)\b", " BOTTOM "),
    (r"\b(in|at)( the| its)? (middle|centre|center)\b|\bin between\b", " MIDDLE "),
    (r"\b(above|on) it\b(?=,? (the|a|and)\b)", " "),
    (r"\bpick(ed)? up\b|\btake hold of\b", " lift "),
    (r"\bput (?=away\b)|\bput away\b", " put "),
    (r"\bclean up\b|\btidy up\b|\bclear up\b", " tidy "),
    (r"\b(and )?(after that|afterwards|next|finally|after which|in the end|at last)\b|\bthen\b", " THEN "),
    (r"\ball of\b", " all "),
    (r"\bto (the |its )?(left|right)( side| hand side)?\b", r" TO\2 "),
    (r"\b(the )?(left|right)wards?\b", r" TO\2 "),
    (r"\bon the table\b|\bfrom the table\b|\boff the table\b", " "),
    (r"\b(is|are|it's)\b", " IS "),
    (r"\bdo(es)? not\b|\bdon'?t\b|\bis ?n't\b|\bare ?n't\b|\bnever\b|\bnot\b", " NOT "),
)  # fmt: skip
PHRASES = tuple((re.compile(pattern), by) for pattern, by in _PHRASES)


def _each(meanings: dict[str, str]) -> dict[str, str]:
    return {word: meaning for words, meaning in meanings.items() for word in words.split()}


VERBS = _each(
    {
        "put place set move drop bring carry get transfer deposit lay leave deliver insert stow store load"
        " goes go belongs belong rests lie lies sit sits stands ends collect gather placed moved": "put",
        "lift take grab raise grasp hold lifted picked pick": "lift",
        "stack pile balance": "stack",
        "tower": "tower",
        "open pull opened": "open",
        "close shut closed": "close",
        "press hit tap click activate pressed": "press",
        "push slide nudge shove pushed": "push",
        "point reach hover": "point",
        "tidy sort": "tidy",
    }
)
PREPOSITIONS = _each(
    {"into in inside within": "in", "onto on upon over above": "on", "to at": "to", "below under": "below"}
)
NOUNS: dict[str, tuple[str, ...]] = {
    word: tuple(kinds.split())
    for words, kinds in {
        "cube block box brick": "cube",
        "cylinder tube drum": "cylinder",
        "ball sphere marble": "ball",
        "bowl basin": "bowl",
        "plate tray saucer platter": "plate",
        "container dish": "bowl plate",
        "zone circle spot patch": "zone",
        "button switch": "button",
        "drawer": "drawer",
        "thing object item piece stuff": " ".join(GRASPABLE),
    }.items()
    for word in words.split()
}
ANY_THING = NOUNS["thing"]
EVERYTHING = frozenset(("everything", "anything"))
NUMBERS = {"zero": 0, "no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "both": 2}
NUMBERS |= {str(number): number for number in range(10)}
ALL = frozenset(("all", "every", "each", "both", "any"))
THE = frozenset(("the", "this", "that", "these", "those", "its", "my"))
PRONOUNS = {"it": 1, "them": 2, "they": 2}
OTHERS = frozenset(("other", "others", "remaining", "rest"))
SIZE_WORDS = _each({"small little tiny smaller": "small", "large big huge larger bigger": "large"})
COLOUR_WORDS = {name: name for name in COLOURS}
STATES = _each({"open opened": "open", "closed shut": "closed"})
IF = _each({"if when whenever": "if", "unless": "unless"})
MARKS = frozenset(
    """THEN NOELSE EXACTLY KIT MATCHING BYCOLOUR UPWARDS DOWNWARDS TOP BOTTOM MIDDLE IS NOT TOleft TOright
    """.split()
)
FILLERS = frozenset(
    """a an up down away again first now also too as well so that there here of with from by be been back
    together carefully gently quickly order make build create done ready said which colour color one ones do
    you me hand robot have has had want need would like should must will for way all""".split()
) - {"all"}  # fmt: skip
WORDS = frozenset(
    word
    for words in (
        VERBS, PREPOSITIONS, NOUNS, EVERYTHING, NUMBERS, ALL, THE, PRONOUNS, OTHERS, SIZE_WORDS, COLOUR_WORDS,
        STATES, IF, FILLERS,
        ("and", "or", "left", "right", "matching", "then", "nothing", "exactly", "else", "only", "not"),
    )
    for word in words
)  # fmt: skip
