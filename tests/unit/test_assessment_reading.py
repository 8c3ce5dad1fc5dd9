"""Who may read ratings: every combination, against the sentence written out by hand."""

from itertools import product

from services.assessment.domain.reading import Reach, reach


def test_every_combination_is_decided_as_the_sentence_says() -> None:
    for holds, concerned, agreed, rated in product((False, True), repeat=4):
        found = reach(holds=holds, concerned=concerned, agreed=agreed, rated=rated)
        everything = holds or (concerned and agreed)
        assert (found is Reach.ALL) == everything
        assert (found is Reach.OWN) == (rated and not everything)
        assert (found is Reach.NO_BASIS) == (concerned and not rated and not everything)
        assert (found is Reach.NO_CASE) == (not concerned and not rated and not holds)
