"""Generates the corpus of the fable model: short fables, letters, riddles, ledgers and dialogues about one
invented valley, whose creatures have fixed homes, foods, colours and friends that every text respects.

    python3 corpus.py SEED CHARACTERS > text.txt

Python's standard library only. The same seed gives the same text. All text is of our own making.
"""
import random
import sys

ONSETS = "b br c cr d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk sl sn st t th tr v w wh y z".split()
VOWELS = "a e i o u ai ea ee oo ou ie".split()
CODAS = "b ck d g k l ll m n nd ng nk p r rd rn rt sh sk st t tch th x".split()
KINDS = """fox hare crow owl badger otter heron mole wren toad goat ram ewe stoat weasel lark finch rook swan goose
duck trout pike newt beetle moth bee ant snail spider cricket lizard adder squirrel dormouse hedgehog robin jay kite
falcon raven stag doe boar lynx wolf bear beaver marten shrew vole bat cat hound mule donkey pony mare colt ox cow
calf bull pig sow lamb hen cock turkey magpie thrush sparrow swallow plover curlew gull tern seal salmon eel crab""".split()
COLOURS = "amber ash black blue bronze brown copper cream crimson fawn gold green grey ivory jade ochre red rust silver slate tawny umber violet white yellow".split()
PLACES = """mill bridge orchard quarry chapel ford meadow barn tower well forge harbour marsh hollow ridge thicket
market cellar garden lighthouse bakery stable inn cottage cave spring island pier vineyard windmill granary kiln
smithy ferry gate lane cliff dell glade heath moor pond weir copse dyke loft shed""".split()
FOODS = """barley acorns clover honey plums cheese chestnuts mushrooms cress herring oats pears beans turnips
berries apples walnuts rye bread cherries figs leeks carrots peas hazelnuts radishes onions grapes dates quinces
milk butter eggs mussels parsnips beets cabbage thistles nettles mint""".split()
OBJECTS = """lantern rope key ladle basket mirror drum whistle kettle needle ribbon hammer saddle bell map coin
feather candle bucket spade ring comb flute button barrel scarf ladder hook net oar wheel anvil chisel loom spoon
thimble cup plate quilt shawl boot glove purse ledger letter seal stamp compass anchor sail lens jar bottle""".split()
TRADES = "baker miller weaver smith potter fisher mason carpenter tailor shepherd ferryman cooper tanner thatcher brewer printer scribe healer gardener clockmaker".split()
VIRTUES = "patience honesty courage kindness thrift humility diligence mercy prudence loyalty candour modesty generosity temperance wit".split()
VICES = "greed envy pride sloth haste vanity deceit anger malice gluttony boasting folly cowardice spite stubbornness".split()
WEATHER = "rain snow fog frost hail thunder drizzle sunshine sleet wind drought mist".split()
SEASONS = "spring summer autumn winter".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ADVERBS = "slowly quickly quietly loudly gladly sadly boldly shyly kindly sternly wearily eagerly gravely gently firmly".split()
MOODS = "tired hungry happy angry proud ashamed afraid curious lonely content jealous grateful restless cheerful gloomy".split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
VERBS = {"carry": "carried", "hide": "hid", "mend": "mended", "sell": "sold", "buy": "bought", "lose": "lost", "find": "found",
         "borrow": "borrowed", "steal": "stole", "polish": "polished", "break": "broke", "paint": "painted", "bury": "buried",
         "weigh": "weighed", "trade": "traded", "guard": "guarded", "fetch": "fetched", "drop": "dropped", "keep": "kept", "wash": "washed"}
SAY = "said cried whispered answered muttered replied laughed sighed shouted murmured declared admitted".split()
FRIENDS = 420


def number(n):
    if n < 20:
        return NUMBERS[n]
    if n < 100:
        return TENS[n // 10 - 2] + ("" if n % 10 == 0 else "-" + NUMBERS[n % 10])
    rest = n % 100
    return NUMBERS[n // 100] + " hundred" + ("" if rest == 0 else " and " + number(rest))


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


class Creature:
    """One inhabitant; its facts never change, so that a reader can learn them."""

    def __init__(self, rng, name):
        self.name = name
        self.kind = rng.choice(KINDS)
        self.colour = rng.choice(COLOURS)
        self.home = rng.choice(PLACES)
        self.food = rng.choice(FOODS)
        self.trade = rng.choice(TRADES)
        self.virtue = rng.choice(VIRTUES)
        self.vice = rng.choice(VICES)
        self.treasure = rng.choice(OBJECTS)
        self.she = rng.random() < 0.5
        self.age = rng.randint(2, 60)

    def pronoun(self):
        return "she" if self.she else "he"

    def possessive(self):
        return "her" if self.she else "his"

    def object(self):
        return "her" if self.she else "him"


def world():
    """The valley: the same in every text, whatever the seed."""
    rng = random.Random(1871)
    names = set()
    while len(names) < FRIENDS:
        syllables = [rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(CODAS) if rng.random() < 0.5 else "")
                     for _ in range(rng.choice([1, 2, 2, 2]))]
        name = "".join(syllables).capitalize()
        if 3 < len(name) < 10:
            names.add(name)
    creatures = [Creature(rng, name) for name in sorted(names)]
    rng.shuffle(creatures)
    for i, creature in enumerate(creatures):
        creature.friend = creatures[(i + 1) % FRIENDS] if i % 2 == 0 else creatures[i - 1]
        creature.rival = creatures[(i * 37 + 11) % FRIENDS]
    return creatures


CREATURES = world()


def introduce(r, c):
    return r.choice([
        f"{c.name} was {article(c.colour)} {c.kind} who lived by the {c.home}.",
        f"By the {c.home} there lived {article(c.colour)} {c.kind} named {c.name}.",
        f"There was once {article(c.kind)} called {c.name}, {c.colour} from head to tail, who was the {c.trade} of the {c.home}.",
        f"In the {c.home} lived {c.name} the {c.kind}, whose coat was {c.colour} and whose age was {number(c.age)}.",
    ])


def habit(r, c):
    return r.choice([
        f"{c.pronoun().capitalize()} ate nothing but {c.food}.",
        f"Of all things {c.pronoun()} loved {c.food} best, and {c.possessive()} {c.treasure} next.",
        f"Everyone knew {c.object()} for {c.possessive()} {c.virtue}, and some for {c.possessive()} {c.vice}.",
        f"{c.possessive().capitalize()} best friend was {c.friend.name} the {c.friend.kind}.",
        f"{c.pronoun().capitalize()} worked as {article(c.trade)} and never quarrelled with anyone but {c.rival.name}.",
    ])


def speech(r, c, words):
    verb = r.choice(SAY)
    adverb = " " + r.choice(ADVERBS) if r.random() < 0.4 else ""
    return r.choice([f'"{words}," {verb} {c.name}{adverb}.', f'{c.name} {verb}{adverb}: "{words}."'])


def journey(r, c):
    """Objects change hands and places; the end asks where things are, and the text knows."""
    a, b = c, c.friend if r.random() < 0.6 else r.choice(CREATURES)
    thing, place, other = r.choice([a.treasure, r.choice(OBJECTS)]), a.home, b.home
    lines = [f"One {r.choice(DAYS)} in {r.choice(SEASONS)}, {a.name} took the {thing} from the {place} and set out for the {other}."]
    holder, where = a, other
    for _ in range(r.randint(1, 4)):
        act = r.randrange(5)
        if act == 0:
            receiver = b if holder is a else a
            lines.append(f"There {holder.name} gave the {thing} to {receiver.name}, who {VERBS[r.choice(['keep', 'wash', 'polish', 'guard', 'weigh'])]} it {r.choice(ADVERBS)}.")
            holder = receiver
        elif act == 1:
            where = r.choice(PLACES)
            lines.append(f"Then {holder.name} carried it on to the {where}, through {r.choice(WEATHER)} and {r.choice(WEATHER)}.")
        elif act == 2:
            lines.append(speech(r, holder, r.choice([f"I have the {thing} and I am {r.choice(MOODS)}", f"This {thing} came from the {place}",
                                                     f"Who would trade {holder.food} for {article(thing)}"])))
        elif act == 3:
            lines.append(f"{holder.name} was {r.choice(MOODS)}, so {holder.pronoun()} stopped to eat {holder.food}.")
        else:
            lines.append(f"On the way they met {a.rival.name} the {a.rival.kind}, but {a.rival.name} only spoke of {a.rival.food}.")
    lines.append(f"In the end {holder.name} had the {thing}, and it lay in the {where}.")
    return lines


def sums(r, c):
    a, b = r.randint(2, 60), r.randint(2, 39)
    if r.random() < 0.6:
        return [f"{c.name} had {number(a)} {c.food} and {c.friend.name} brought {number(b)} more, which made {number(a + b)} in all."]
    a = max(a, b + 1)
    return [f"Of {number(a)} coins {c.name} spent {number(b)} at the {r.choice(PLACES)} and had {number(a - b)} left."]


def moral(r, c):
    return r.choice([f"Moral: {c.virtue} is worth more than {c.vice}.", f"So {c.vice} lost what {c.virtue} had won.",
                     f"Those who live by {c.vice} will go without {c.food}.", f"And that is why the {c.kind} is {c.colour} to this day."])


def fable(r):
    c = r.choice(CREATURES)
    lines = [introduce(r, c), habit(r, c)]
    if r.random() < 0.5:
        lines.append(introduce(r, c.friend))
    lines += journey(r, c)
    if r.random() < 0.4:
        lines += sums(r, c)
    if r.random() < 0.5:
        lines.append(speech(r, c.friend, r.choice([f"You {r.choice(list(VERBS))} too much", f"I would rather have {c.friend.food}", f"Go home to the {c.home}"])))
    lines.append(moral(r, c))
    return f"The {c.kind.capitalize()} and the {c.friend.kind.capitalize()}\n\n" + " ".join(lines)


def letter(r):
    c = r.choice(CREATURES)
    f = c.friend
    verb = r.choice(sorted(VERBS))
    return (f"Dear {f.name},\n\nI write from the {c.home}, where it has been all {r.choice(WEATHER)} since {r.choice(DAYS)}. "
            f"Last week I {VERBS[verb]} {article(r.choice(OBJECTS))} that had belonged to {c.rival.name} the {c.rival.kind}. "
            f"{sums(r, c)[0]} Is the {f.home} as {r.choice(COLOURS)} as ever, and do you still eat {f.food}? "
            f"Bring your {f.treasure} and I shall bring my {c.treasure}.\n\nYour {r.choice(MOODS)} friend,\n{c.name} the {c.trade}")


def riddle(r):
    c = r.choice(CREATURES)
    return (f"Riddle. I am {c.colour}, I eat {c.food}, and my friend is {article(c.friend.kind)}. I live by the {c.home} and keep {article(c.treasure)}. "
            f"Who am I?\nAnswer: {c.name} the {c.kind}.")


def ledger(r):
    lines = [f"Ledger of the {r.choice(PLACES)}, {r.choice(DAYS)}"]
    total = 0
    for c in r.sample(CREATURES, r.randint(2, 5)):
        price = r.randint(1, 30)
        total += price
        lines.append(f"- {c.name} ({c.kind}, {c.home}): {c.food}, {number(price)}")
    return "\n".join(lines + [f"Total: {number(total)}"])


def quarrel(r):
    c = r.choice(CREATURES)
    f = c.rival
    thing = r.choice(OBJECTS)
    lines = [introduce(r, c), introduce(r, f), f"Both wanted the same {thing}.",
             speech(r, c, f"The {thing} was found by the {c.home}, and the {c.home} is mine"),
             speech(r, f, f"I am {number(f.age)} years old and you are {number(c.age)}, so I should have it"),
             speech(r, c, f"Then let the {'older' if r.random() < 0.5 else 'younger'} one keep it")]
    older = c if c.age >= f.age else f
    lines.append(f"They asked {c.friend.name}, who counted their years: {number(max(c.age, f.age))} is more than {number(min(c.age, f.age))}, and {older.name} was the older."
                 if c.age != f.age else f"They asked {c.friend.name}, who found that they were of one age.")
    lines.append(moral(r, older))
    return " ".join(lines)


def entry(r):
    c = r.choice(CREATURES)
    facts = [f"kind: {c.kind}", f"colour: {c.colour}", f"home: the {c.home}", f"food: {c.food}", f"trade: {c.trade}",
             f"friend: {c.friend.name} the {c.friend.kind}", f"rival: {c.rival.name} the {c.rival.kind}", f"age: {number(c.age)}", f"treasure: {article(c.treasure)}"]
    r.shuffle(facts)
    return f"{c.name}. " + "; ".join(facts[: r.randint(4, 9)]) + "."


def rhyme(r):
    c = r.choice(CREATURES)
    return (f"{c.name}, {c.name}, {c.colour} and small,\nSat with {c.food} on the {c.home} wall.\n"
            f"Along came {c.friend.name}, the {c.friend.kind},\nAnd left {article(c.friend.treasure)} behind.")


GENRES = [(fable, 8), (letter, 3), (riddle, 3), (ledger, 2), (quarrel, 3), (entry, 4), (rhyme, 1)]


def generate(seed, characters):
    r = random.Random(seed)
    texts, size = [], 0
    makers, weights = zip(*GENRES)
    while size < characters:
        text = r.choices(makers, weights)[0](r)
        texts.append(text)
        size += len(text) + 2
    return "\n\n".join(texts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate(int(sys.argv[1]), int(sys.argv[2])))
