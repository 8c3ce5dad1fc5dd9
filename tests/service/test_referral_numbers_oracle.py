"""Every figure beside a count made anew: from chains of moves that dice have led, in plain Python, by other words.

The oracle shares nothing with the service but the table of moves, by which the dice go, and the calendar.
"""

import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.referral.domain.moves import NEVER_SENT, OPEN, Moved, Referral, Said, advance, legal_moves
from services.referral.domain.states import DeclineReason, Outcome, Party, State, Verb, WithdrawReason
from shared.auth import Role
from shared.service import day_in_japan, is_working_day
from shared.service.clock import wall_time
from tests.service.referral_region import Region, consented, opened
from tests.world import KAGOSHIMA, World

AGENCIES = ("kagoshima-desk", "sakura-npo", "hinata-npo", "shien-centre")
FIELDS = ("median", "ninetieth", "longest_waiting", "least_median", "least_ninetieth")
_OTHERS = {"lose": "another_accepted", "end_consent": "consent_withdrawn"}


@dataclass
class Story:
    """A referral as somebody beside it would have written it down."""

    now: Referral
    states: list[State]
    """Each state that it stood in, the present one last."""
    moves: list[tuple[str, str, Party, str | None, datetime]] = field(default_factory=list)
    """Name, agency, part, reason, moment."""
    outcomes: list[str] = field(default_factory=list)
    requested: bool = False
    """Whether its receiver asked for the case; its verb may become another."""

    def __post_init__(self) -> None:
        self.requested = self.now.verb is Verb.REQUEST

    @property
    def left(self) -> bool:
        return self.now.state is not State.DRAFT and self.now.reason != NEVER_SENT

    @property
    def asker(self) -> str:
        return self.now.receiver if self.requested else self.now.sender

    @property
    def asked(self) -> str:
        return self.now.sender if self.requested else self.now.receiver

    @property
    def ended_at(self) -> datetime:
        return self.moves[-1][-1]


# --- The dice --------------------------------------------------------------------------------------------------------


def tell_stories(dice: random.Random, cases: Sequence[UUID], programme: UUID, now: datetime) -> list[Story]:
    """Referrals of these cases, each led by the table of moves for a while."""
    stories: list[Story] = []
    for case in cases:
        day = now - timedelta(days=dice.randint(60, 300), seconds=dice.randint(0, 80_000))
        for _ in range(dice.randint(1, 7)):
            day += timedelta(days=dice.randint(1, 12), seconds=dice.randint(1, 80_000))
            together = UUID(int=dice.getrandbits(128)) if dice.random() < 0.2 else None
            for receiver in dice.sample(AGENCIES[1:], 2 if together else 1):
                verb = Verb.REFER if together else dice.choice([*Verb])
                state = (
                    State.DRAFT if verb is not Verb.REQUEST and not together and dice.random() < 0.25 else State.SENT
                )
                made = _made(dice, case, programme, receiver, day, verb=verb, state=state, group_id=together)
                stays = state is State.DRAFT and dice.random() < 0.4
                stories += [Story(made, [state])] if stays else _walk(dice, Story(made, [state]), now)
    return stories


def _made(dice: random.Random, case: UUID, programme: UUID, receiver: str, at: datetime, **more: Any) -> Referral:
    sender = dice.choice([agency for agency in AGENCIES if agency != receiver])
    return Referral(
        id=UUID(int=dice.getrandbits(128)),
        case_id=case,
        municipality=KAGOSHIMA,
        sender=sender,
        receiver=receiver,
        coordinator="kagoshima-desk",
        programme_id=programme,
        course_run_id=None,
        seat_request_id=None,
        responsible_agency=sender,
        progress=None,
        reason=None,
        sent_at=at,
        version=1,
        **more,
    )


def _walk(dice: random.Random, story: Story, now: datetime) -> Iterator[Story]:
    """Move on until chance, the table or today ends it; what is rerouted goes on elsewhere at the same moment."""
    yield story
    at = story.now.sent_at
    while dice.random() < 0.85:
        at += timedelta(seconds=dice.randint(60, 8 * 86_400))
        legal = legal_moves(story.now)
        if not legal or at > now - timedelta(minutes=10):
            return
        move = dice.choice(legal)
        party = dice.choice(sorted(move.by))
        said = Said(
            reason=_OTHERS.get(move.name) or _reason(dice, move.asks, move.name),
            day=day_in_japan(at) if move.asks == "day" else None,
            outcome=dice.choice([*Outcome]) if move.asks == "outcome" else None,
        )
        moved = advance(story.now, move.name, {party}, said)
        if not isinstance(moved, Moved):  # another line of the same name, for another part
            continue
        story.now = moved.referral if move.name != "send" else replace(moved.referral, sent_at=at)
        story.states.append(story.now.state)
        by = story.now.agency(party) if party in {Party.SENDER, Party.RECEIVER, Party.COORDINATOR} else party.value
        story.moves.append((move.name, by, party, said.reason, at))
        story.outcomes += [said.outcome] if said.outcome else []
        if story.now.state is State.REROUTED:
            here = {story.now.sender, story.now.receiver}
            elsewhere = dice.choice([agency for agency in AGENCIES[1:] if agency not in here])
            more = {"verb": story.now.verb, "state": State.SENT, "group_id": story.now.group_id}
            next_one = _made(dice, story.now.case_id, _programme(story), elsewhere, at, **more)
            next_one = replace(next_one, sender=story.now.sender, responsible_agency=story.now.sender)
            yield from _walk(dice, Story(replace(next_one, rerouted_from=story.now.id), [State.SENT]), now)


def _programme(story: Story) -> UUID:
    assert story.now.programme_id is not None
    return story.now.programme_id


def _reason(dice: random.Random, asks: str | None, name: str) -> str | None:
    if asks != "reason":
        return None
    codes = list(DeclineReason) if name == "decline" else [*WithdrawReason, WithdrawReason.NO_ANSWER]
    return str(dice.choice(codes))


async def write_down(region: Region, stories: Sequence[Story]) -> None:
    """As the service would have left them in its tables."""
    rows = region.running.rows
    for group in {story.now.group_id: story.now for story in stories if story.now.group_id}.values():
        await rows(
            "INSERT INTO referral_group VALUES ($1, $2, $3, $4, 'parts', $5)",
            *(group.group_id, group.case_id, KAGOSHIMA, group.sender, group.sent_at),
        )
    for story in stories:
        made = story.now
        begun = made.sent_at if not story.moves else min(made.sent_at, story.moves[0][-1])
        await rows(
            "INSERT INTO referral (id, case_id, municipality, sender, receiver, programme_id, state, verb,"
            " responsible_agency, coordinator, reason, sent_at, version, group_id, rerouted_from, before_hold, outcome,"
            " since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
            *(made.id, made.case_id, KAGOSHIMA, made.sender, made.receiver, made.programme_id, made.state, made.verb),
            *(made.responsible_agency, made.coordinator, made.reason, made.sent_at, made.version, made.group_id),
            *(made.rerouted_from, made.before_hold, made.outcome, story.moves[-1][-1] if story.moves else begun),
        )
        first = "draft" if story.states[0] is State.DRAFT else "send"
        steps = [(first, story.asker, Party.SENDER, None, begun), *story.moves]
        for version, (name, by, _, reason, at) in enumerate(steps, start=1):
            await rows(
                "INSERT INTO referral_step VALUES ($1, $2, $3, $4, $5, $6)", made.id, version, name, by, reason, at
            )
        for number, outcome in enumerate(story.outcomes, start=1):
            await rows(
                "INSERT INTO referral_outcome VALUES ($1, $2, $3, $4, $5)",
                *(made.id, number, outcome, made.receiver, made.sent_at),
            )


# --- The oracle ------------------------------------------------------------------------------------------------------


def reached(story: Story, milestone: str) -> datetime | None:
    """When: that the asked one did anything; that it stood as accepted, as in service, as closed."""
    if milestone == "receive":
        asked = Party.SENDER if story.requested else Party.RECEIVER
        # Its own "send" of a request would be the asker's; the sender of the others does not answer itself.
        return next((at for _, _, party, _, at in story.moves if party is asked), None)
    state = {"accept": State.ACCEPTED, "start": State.IN_SERVICE, "close": State.CLOSED}[milestone]
    return next((move[-1] for now, move in zip(story.states[1:], story.moves, strict=True) if now is state), None)


def last_change(story: Story) -> int:
    """Which move led to where it stands: a late word of intake after it changes the name alone."""
    return max(place for place in range(1, len(story.states)) if story.states[place] is not story.states[place - 1])


def is_silence(story: Story) -> bool:
    gave_up = story.now.state is State.WITHDRAWN and story.moves[-1][3] == "no_answer"
    return (story.now.state is State.EXPIRED or gave_up) and story.states[last_change(story) - 1] not in {
        State.RETURNED,
        State.DECLINE_PENDING,
    }


def figures(stories: Sequence[Story], milestone: str, now: datetime) -> dict[str, Any]:
    done, waiting, silent, ended = [], [], [], 0
    for story in stories:
        if story.requested and milestone in {"start", "close"}:
            continue
        at = reached(story, milestone)
        if at is not None:
            done.append((story.now.sent_at, at))
        elif story.now.state in OPEN:
            waiting.append((story.now.sent_at, now))
        elif is_silence(story):
            taken_over = (at for name, *_, at in story.moves if name == "take_over")
            silent.append((story.now.sent_at, next(taken_over, story.ended_at)))
        else:
            ended += 1
    at_least = done + waiting + silent
    return {
        "reached": len(done),
        "waiting": len(waiting),
        "unanswered": len(silent),
        "ended": ended,
        "median": spread(done, statistics.median_low),
        "ninetieth": spread(done, ninetieth),
        "longest_waiting": spread(waiting, max),
        "least_median": spread(at_least, statistics.median_low),
        "least_ninetieth": spread(at_least, ninetieth),
    }


def spread(spans: Sequence[tuple[datetime, datetime]], of: Any) -> dict[str, Any] | None:
    if not spans:
        return None
    days = [sum(map(is_working_day, days_between(begin, end))) for begin, end in spans]
    return {"hours": of([(end - begin).total_seconds() / 3_600 for begin, end in spans]), "working_days": of(days)}


def days_between(begin: datetime, end: datetime) -> Iterator[Any]:
    day = day_in_japan(begin)
    while day < day_in_japan(end):
        day += timedelta(days=1)
        yield day


def ninetieth(values: Sequence[float]) -> float:
    """The least that at least nine of ten don't exceed."""
    return min(value for value in values if 10 * sum(other <= value for other in values) >= 9 * len(values))


def hops_of(stories: Sequence[Story]) -> int:
    """Told in the order of the days: sent, come back, sent again."""
    sendings: dict[UUID, datetime] = {}
    happened = []
    for story in stories:
        made = story.now
        key = made.id if made.rerouted_from or made.group_id is None else made.group_id
        sendings[key] = min(sendings.get(key, made.sent_at), made.sent_at)
        lost = made.reason in {"another_accepted", "sent_by_mistake"}
        if made.state in {State.DECLINED, State.REROUTED, State.WITHDRAWN, State.EXPIRED} and not lost:
            happened.append((story.ended_at, "came back"))
    happened += [(at, "sent") for at in sendings.values()]
    hops, with_nobody = 0, True
    for _, what in sorted(happened):
        hops += what == "sent" and with_nobody
        with_nobody = what == "came back"
    return hops


# --- Side by side ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


@pytest.mark.parametrize("seed", range(4))
async def test_every_figure_equals_a_count_made_anew(region: Region, seed: int) -> None:
    dice, now, running = random.Random(seed), wall_time(), region.running
    cases = [UUID(int=dice.getrandbits(128)) for _ in range(40)]
    await running.hear(*(event for case in cases for event in (opened(case), consented(case))))
    told = tell_stories(dice, cases, UUID(region.programmes["sakura-npo/ibasho"]), now)
    seen = {story.now.verb for story in told} | {story.now.state for story in told}
    assert any(story.requested and story.now.verb is not Verb.REQUEST for story in told)
    assert seen >= {*Verb, State.DRAFT, State.EXPIRED, State.REROUTED, State.WITHDRAWN, State.DECLINED, State.CLOSED}
    assert {bool(story.now.group_id) for story in told} == {True, False} == {story.left for story in told}
    await write_down(region, told)
    stories = [story for story in told if story.left]
    whole = running.as_("ken", Role.OBSERVER, municipalities=["prefecture:46"])

    pairs: dict[tuple[str, str], list[Story]] = defaultdict(list)
    for story in stories:
        pairs[story.asker, story.asked].append(story)
    for agency, caller in ((None, whole), *((each, running.as_(each, municipalities=[])) for each in AGENCIES)):
        theirs = {pair: each for pair, each in pairs.items() if agency is None or agency in pair}
        found = await caller.whole("/v1/numbers/pairs")
        assert [(each["sender"], each["receiver"]) for each in found] == sorted(theirs)
        for each in found:
            _compare(each, theirs[each["sender"], each["receiver"]], now)

    declined = Counter(
        (story.asked, reason)
        for story in stories
        for reason in {reason for name, _, _, reason, _ in story.moves if name == "decline"}
    )
    found = await whole.whole("/v1/numbers/declines")
    assert {(each["receiver"], each["reason"]): each["referrals"] for each in found} == declined

    for agency in AGENCIES:
        back = (await running.as_(agency, Role.PLACEMENT, municipalities=[]).get("/v1/give-back")).json()
        sent = [story for story in stories if story.asker == agency]
        received = [story for story in stories if story.asked == agency]
        for name, mine in (("sent", sent), ("received", received)):
            assert back[name] == len(mine)
            assert back[f"{name}_requests"] == sum(story.requested for story in mine)
        _compare(back["answered_us"], sent, now)
        _compare(back["we_answered"], received, now)
        assert back["states"] == Counter(story.now.state for story in sent)
        assert {each["reason"]: each["referrals"] for each in back["declined"]} == {
            reason: many for (asked, reason), many in declined.items() if asked == agency
        }
        for name, party in (("outcomes", Party.SENDER), ("own_outcomes", Party.RECEIVER)):
            came = [set(story.outcomes) for story in stories if story.now.agency(party) == agency]
            assert back[name] == Counter(outcome for each in came for outcome in each)

    hops = {
        case: hops_of([story for story in stories if story.now.case_id == case and not story.requested])
        for case in cases
    }
    found = (await whole.get("/v1/numbers/hops")).json()
    assert {each["hops"]: each["cases"] for each in found} == Counter(many for many in hops.values() if many)
    await running.sweep()
    alarms = await running.as_("kagoshima-desk").whole("/v1/hops-alarms")
    assert {UUID(each["case_id"]): each["hops"] for each in alarms} == {
        case: many for case, many in hops.items() if many > 2
    }
    assert alarms


def _compare(answer: dict[str, Any], stories: Sequence[Story], now: datetime) -> None:
    for milestone in ("receive", "accept", "start", "close"):
        wanted, found = figures(stories, milestone, now), dict(answer[milestone])
        for name in FIELDS:
            hours, told = (each.pop(name) for each in (wanted, found))
            if hours is None:
                assert told is None
                continue
            # To a tenth of an hour, and the test has waited for its answer meanwhile.
            assert told["hours"] == pytest.approx(hours["hours"], abs=0.12), (milestone, name)
            assert told["working_days"] == hours["working_days"], (milestone, name)
        assert found == wanted, milestone
