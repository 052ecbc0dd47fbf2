"""The table of states and moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.states import TABLE, IllegalMoveError, Move, State, fire


@given(st.sampled_from(list(State)), st.sampled_from(list(Move)))
def test_what_the_table_does_not_hold_is_refused(state: State, move: Move) -> None:
    """And what it holds leads where it says."""
    if (state, move) in TABLE:
        assert fire(state, move) is TABLE[state, move]
    else:
        with pytest.raises(IllegalMoveError):
            fire(state, move)
