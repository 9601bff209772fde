"""Gambit's files of games: .nfg and .efg are read and written, .agg is read.

The formats are described at https://gambitproject.readthedocs.io (Game representation formats).
"""

from bayescal.environments.gambit.action_graph import read_agg
from bayescal.environments.gambit.normal import read_nfg
from bayescal.environments.gambit.tree import read_efg
from bayescal.environments.gambit.write import to_efg, to_nfg

__all__ = ["read_agg", "read_efg", "read_nfg", "to_efg", "to_nfg"]
