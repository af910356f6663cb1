"""Words that people use for things, places and actions: data that `sentences.py` reads with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ideomotor.sim.generalization.held_out_objects import HELD_OUT_COLOURS, HELD_OUT_SHAPES
from ideomotor.sim.scene import COLOURS

Value = TypeVar("Value")


def _each(meanings: Mapping[str, Value]) -> dict[str, Value]:
    """{words with spaces between: what they mean} by the single words."""
    return {word: meaning for words, meaning in meanings.items() for word in words.split()}


NOUNS: dict[str, tuple[str, ...]] = _each(  # kinds of things that a noun may mean
    {
        "cube block box brick die dice square": ("cube",),
        "cylinder tube can barrel drum roll peg tin canister rod": ("cylinder",),
        "ball sphere marble orb globe": ("ball",),
        "bowl basin": ("bowl",),
        "plate saucer platter tray": ("plate",),
        "dish container vessel receptacle": ("bowl", "plate"),
        "zone circle spot patch area disc disk region mat pad mark marker target": ("zone",),
        "button switch knob buzzer": ("button",),
        "drawer compartment": ("drawer",),
        **{kind: (kind,) for kind in HELD_OUT_SHAPES},
    }
)
BARE = frozenset(NOUNS) - {"can", "die", "square", "mark", "target", "tin", "roll", "pad"}  # need no article
ANYTHING = frozenset("one thing thingy object item piece toy guy fellow stuff something anything".split())
# Nouns that are no reference to a thing of the scene: the robot, the room, and manners of speaking.
NEUTRAL = frozenset(
    """table tabletop desk surface floor ground air robot arm hand gripper claw fingers finger fingertips
    tip handle top bottom base side way moment second minute sec bit centimeter centimeters centimetre
    centimetres cm mm inch inches tower stack pile place there end edge front back middle center centre
    job favor favour time rest scene bench workspace jaw jaws effector tool pincers pincer""".split()
)
HANDS = "arm|hand|gripper|claw|fingers?|fingertips?|end effector|effector|jaws?|tool|tip|pincers?"

COLOUR_WORDS: dict[str, str] = {
    **{name: name for name in (*COLOURS, *HELD_OUT_COLOURS)},
    **_each(
        {"crimson scarlet": "red", "violet lilac": "purple", "navy azure": "blue", "teal cyan": "turquoise"}
    ),
    **{name: name for name in ("grey", "gray", "gold", "golden", "silver", "beige", "magenta", "maroon")},
}
SIZE_WORDS = _each({"small little tiny mini smallish": "small", "large big huge giant bulky": "large"})
MORE_SIZE = _each(  # that compare: "the bigger one" among several
    {"smaller smallest littler littlest tinier tiniest": "small", "larger largest bigger biggest": "large"}
)
SHAPE_WORDS: dict[str, tuple[str, ...]] = _each(
    {
        "round circular": ("ball", "cylinder", "bowl", "plate", "zone", "button"),
        "cubic boxy": ("cube",),
        "cylindrical": ("cylinder",),
        "spherical": ("ball",),
    }
)
RANK_WORDS = _each(  # where a thing stands among others
    {
        "left leftmost lefthand": "left",
        "right rightmost righthand": "right",
        "nearest closest nearer closer near": "near",
        "farthest furthest far farther rear": "far",
        "middle central centre center": "middle",
    }
)
STATE_WORDS = {"open": "open", "opened": "open", "closed": "closed", "shut": "closed"}
MANY = frozenset("both all every each everything several many two three four pair".split())
ARTICLES = frozenset("the a an this that these those my your its some any another whichever either".split())
QUESTIONS = frozenset("what which who whose why when how is are was were does did do has have".split())

TO = frozenset("in into inside on onto to towards toward over above at atop upon".split())  # a place follows
UNDER, FROM = frozenset(("under", "beneath", "below", "underneath")), frozenset(("from", "off"))

_VERBS: dict[str, str] = {  # {actions, as in `Task.actions`: verbs that may mean any of these}
    "lift": "lift raise pick grab grasp hold hoist elevate seize snatch scoop fetch collect catch clutch"
    " clasp pinch",
    "lift put": "take get bring",
    "reach": "reach point hover show touch approach indicate find locate aim stretch goto",
    "push": "nudge sweep scoot budge herd drive",
    "push put": "shift relocate drag roll scooch",
    "push put other": "move",
    "push put open close": "slide",
    "push put close": "shove",
    "push press close": "push",
    "push open": "pull",
    "open": "open reopen",
    "close": "close shut slam",
    "press": "press hit click tap activate trigger depress poke punch use smack bump boop jab buzz",
    "put stack": "put place set position lay rest sit stand stick plonk",
    "put": "drop leave deposit transfer carry dump chuck pop stow store land deliver park end belong insert",
    "put other": "throw toss",
    "stack": "stack balance build tower pile",
    "sort": "sort tidy clean clear arrange separate distribute organise organize",
    "other": "flip rotate spin turn twist shake tilt pour squeeze crush wipe wave paint cut break count"
    " describe tell explain dance juggle swap exchange bounce eat screw unscrew fold wait stop pass lower"
    " release cancel hide cover weigh measure draw",
}
_IRREGULAR = {
    "held": "hold", "took": "take", "taken": "take", "got": "get", "brought": "bring", "found": "find",
    "shown": "show", "laid": "lay", "stuck": "stick", "stood": "stand", "built": "build", "sat": "sit",
    "caught": "catch", "swept": "sweep", "thrown": "throw", "tidied": "tidy", "carried": "carry",
}  # fmt: skip
FILLERS = frozenset(
    """gimme i you we it me us he she they them him her id im ill would could can should will shall may
    might must please kindly thanks thank hey hi hello ok okay so now then first second third finally
    next afterwards after before again once twice just only also too and or but that which who there
    here where whichever of for with as by be is are was were been being am has have had having do does
    did done to up down out away back off over around about along across through near not no yes yeah
    well let lets see want wants wanted need needs needed like likes love make makes made sure if
    possible able go goes going gone come comes coming keep keeps stay stays still already yet ever
    quite very really more less further farther much a an the this these those my your its our their one
    ones bit little some any all way good great nice mind try trying start begin help ready task job
    thing robot buddy mate friend everyone look looks looking than until when while because since both
    each other others rather instead simply maybe perhaps alright right forward straight asap soon later
    today quick fast slow careful gentle hard light such own same single whole entire particular lovely
    pretty wooden plastic shiny bright dark pale tall short flat full empty ends sits give gives given
    gave hand end in on at into onto inside above under between towards toward time what whatever how
    call called supposed meant asked say said table air things position together respectively order last
    remaining every per""".split()
)


def _forms(verb: str) -> set[str]:
    """A verb as sentences have it: put, puts, putting; close, closed, closing."""
    stem, last = verb[:-1], verb[-1]
    forms = {verb, *(verb + end for end in ("s", "es", "ing", "ed", last + "ing", last + "ed"))}
    return forms | {stem + "ing", verb + "d"} if last == "e" else forms


ACTIONS: dict[str, frozenset[str]] = {
    form: frozenset(actions.split())
    for actions, verbs in _VERBS.items()
    for verb in verbs.split()
    for form in _forms(verb) | {odd for odd, regular in _IRREGULAR.items() if regular == verb}
}
_NAMING = (NOUNS, COLOUR_WORDS, SIZE_WORDS, MORE_SIZE, SHAPE_WORDS, RANK_WORDS, STATE_WORDS, ACTIONS)
VOCABULARY = frozenset(word for words in _NAMING for word in words).union(
    ANYTHING, NEUTRAL, FILLERS, MANY, ARTICLES, TO, UNDER, FROM
)
