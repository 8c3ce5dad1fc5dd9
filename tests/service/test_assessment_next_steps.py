"""A step at a host workplace was completed: somebody with a name has a task, and nothing happens by itself."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.events import CaseClosed, NextStepProposed, TaskAssigned, TaskEnded, TrainingEnded
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.assessment_room import DESK, NPO, known_case, todo, told_of
from tests.world import Running, World


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


def proposed(case_id: UUID, owner: str = DESK) -> NextStepProposed:
    return NextStepProposed(
        case_id=case_id,
        seat_request_id=uuid4(),
        course_run_id=uuid4(),
        completed="visit",
        step="half_day",
        places=[uuid4()],
        owner=owner,
        due_on=day_in_japan(wall_time()) + timedelta(days=3),
    )


async def test_who_asked_for_the_step_has_a_task_with_a_day_and_ends_it_by_hand(running: Running) -> None:
    case_id = await known_case(running)
    event = proposed(case_id, NPO)
    event_id = uuid4()
    for _ in range(2):
        await running.hear(event, event_id=event_id)
    npo = running.as_(NPO)
    (task,) = await todo(npo)
    assert (task["task"], task["owner"], task["due_on"]) == ("next_step", NPO, event.due_on.isoformat())
    assert (task["origin"], task["origin_id"]) == ("training", str(event.seat_request_id))
    assert [(each.task, each.owner) for each in await told_of(running, TaskAssigned)] == [("next_step", NPO)]
    assert (await npo.post(f"/v1/tasks/{task['task_id']}/finish", {})).status_code == 200
    assert await todo(npo) == []
    assert [each.state for each in await told_of(running, TaskEnded)] == ["done"]


async def test_in_a_case_that_is_closed_or_unheard_of_nobody_has_to_look(running: Running) -> None:
    case_id = await known_case(running)
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"))
    await running.hear(proposed(case_id), proposed(uuid4()))
    assert await todo(running.as_()) == []
    assert await told_of(running, TaskAssigned) == []


def ended(event: NextStepProposed, ending: str) -> TrainingEnded:
    return TrainingEnded(
        case_id=event.case_id,
        seat_request_id=event.seat_request_id,
        course_run_id=event.course_run_id,
        ending=ending,
        ended_on=event.due_on,
    )


async def test_a_completion_that_is_corrected_takes_its_task_back_and_no_other(running: Running) -> None:
    case_id = await known_case(running)
    wrong, right = proposed(case_id), proposed(case_id)
    await running.hear(ended(wrong, "completed"), wrong, ended(right, "completed"), right)
    assert len(await todo(running.as_())) == 2, "the news of the completion itself takes nothing back"
    await running.hear(ended(wrong, "left"))
    assert [task["origin_id"] for task in await todo(running.as_())] == [str(right.seat_request_id)]
    assert [(each.state, each.reason) for each in await told_of(running, TaskEnded)] == [("dropped", "mistake")]
    # Corrected once more, somebody looks at the next step after all; who had done so already has nothing to undo.
    await running.hear(wrong)
    first, second = await todo(running.as_())
    for task in (first, second):
        assert (await running.as_().post(f"/v1/tasks/{task['task_id']}/finish", {})).status_code == 200
    await running.hear(ended(wrong, "left"), ended(right, "left"), ended(proposed(uuid4()), "left"))
    assert [each.state for each in await told_of(running, TaskEnded)] == ["dropped", "done", "done"]
