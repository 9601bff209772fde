"""Registered sets: what their readers make of the files, against numbers worked out by hand; fetching them."""

import gzip
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.errors import InputError
from bayescal.populations import POPULATIONS
from bayescal.resources import resource_path
from bayescal.study import add_table, load_study
from bayescal.study.dataset import FILE, read_dataset
from bayescal.study.readers import READERS, read_with
from bayescal.study.where import DATA_DIR, find_table, study_names

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
NAMES = tuple(n for n in study_names() if read_dataset(resource_path("data", n) / FILE).registered)
ORIGINAL = ("nagel-1995", "nagel-2002", "repeated-pd")  # where the file that is read is the one at the address


@pytest.fixture(autouse=True)
def no_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setenv(DATA_DIR, str(SHARED))


@pytest.fixture(scope="module")
def zhu():
    return read_with("matrix-games-zhu", SHARED / "matrix-games-zhu" / "zhu2024_matrix_games_tidy.csv.gz", {})


def dataset(name):
    return read_dataset(resource_path("data", name) / FILE)


def codes(study):
    """The rows that were read, texts as texts."""
    table = study.decisions.table
    return table.assign(**{c: table[c].astype(str) for c in table if isinstance(table[c].dtype, pd.CategoricalDtype)})


# All of them.
@pytest.mark.parametrize("name", NAMES)
def test_a_registered_set_holds_what_it_is_registered_for(name):
    told, study = dataset(name), load_study(name)
    assert study.decisions.total == told.decisions
    assert len(study.decisions.levels("participant")) == told.people
    assert re.fullmatch("[0-9a-f]{40}", told.commit) and told.commit in told.address
    assert re.fullmatch("[0-9a-f]{64}", told.sha256)
    assert told.commit[:7] in told.source and told.licence and told.citation
    assert bool(told.derived) == (name not in ORIGINAL)
    assert told.external.split("/")[0] in {p.name for p in SHARED.iterdir()}


def test_every_reader_is_used_and_populations_have_a_class():
    used = {dataset(name).reader for name in NAMES} - {""}
    assert used == set(READERS)
    for name in POPULATIONS:
        assert isinstance(POPULATIONS[name], type)


# Each of them.
def test_nagel_1995_has_the_first_guesses_that_are_known():
    study = load_study("nagel-1995")
    table = codes(study)
    raw = pd.read_csv(SHARED / "beauty-contest" / "Nagel95.csv")["round 1"]
    assert (raw.mean().round(2), raw.median()) == (36.73, 33.0)  # as they are cited
    guesses = table["action"].astype(float)
    assert abs(guesses.mean() - raw.mean()) <= 0.5 * study.decisions.snapped / len(raw)
    assert study.decisions.snapped == 2  # 41.5 and 22.6
    assert {s: int((table["group"] == s).sum()) for s in "4567"} == {"4": 18, "5": 15, "6": 16, "7": 18}
    assert {n: g.players for n, g in study.decisions.environments.items()} == {
        "15 players": 15, "16 players": 16, "18 players": 18,
    }  # fmt: skip
    assert all(g.multiplier == pytest.approx(2 / 3) for g in study.environments.values())


def test_nagel_1995_has_all_rounds_on_request():
    table = codes(load_study("nagel-1995", where="round <= 4"))
    assert len(table) == 4 * 67
    one = table[table["participant"] == "4-10"].sort_values("round")
    assert one["action"].tolist() == ["77", "45", "23", "17"]


def test_nagel_2002_is_nagel_1995_and_thirteen_more_sessions():
    study = load_study("nagel-2002")
    table = codes(study)
    sizes = table["group"].value_counts()
    assert [sizes[str(s)] for s in (1, 2, 3, 4)] == [18, 15, 16, 18]
    assert [sizes[str(s)] for s in (15, 16, 17)] == [2728, 3696, 1468]
    assert study.environments["session 16"].players == 3696
    raw = pd.read_csv(SHARED / "beauty-contest" / "Nagel02.csv").dropna()
    for session in (15, 16, 17):
        mine = table[table["group"] == str(session)]["action"].astype(float)
        assert mine.mean() == pytest.approx(raw[raw["session"] == session]["guess"].mean(), abs=0.1)
    first = codes(load_study("nagel-1995"))
    for session in range(1, 5):
        mine = table[table["group"] == str(session)]["action"].sort_values().tolist()
        assert mine == first[first["group"] == str(session + 3)]["action"].sort_values().tolist()


@pytest.mark.parametrize(("players", "best"), [(2, 15.0), (3696, 20.0)])
def test_the_readers_of_a_newspaper_are_a_beauty_contest_like_any_other(players, best):
    """The payoff needs the mean and the variance of others' guesses alone: the best reply to 30 is p (n-1) 30 / (n-p),
    p 30 where one's own guess does not count."""
    game = bc.BeautyContest(players)
    everybody_says_30 = np.eye(101)[30][None].astype(np.float32)
    payoffs = np.asarray(game.expected_payoffs(everybody_says_30, game.params))[0]
    assert np.argmax(payoffs) == best
    assert payoffs[int(best)] == pytest.approx(1.0, abs=1e-6)


def test_beauty_contests_on_mturk_come_in_three_sizes():
    study = load_study("beauty-contest-mturk")
    table = codes(study)
    assert table["game"].value_counts().to_dict() == {"2 players": 100, "4 players": 92, "8 players": 104}
    means = table["action"].astype(float).groupby(table["game"]).mean().round(2).to_dict()
    assert means == {"2 players": 50.99, "4 players": 45.42, "8 players": 45.96}
    assert table.groupby("group")["participant"].nunique().isin([2, 4, 8]).all()
    assert len(load_study("beauty-contest-mturk", where="round <= 8").decisions.table) == 2368


def test_the_volunteers_dilemma_pays_what_people_were_paid():
    raw = pd.read_csv(SHARED / "volunteers-dilemma" / "vd_tidy.csv")
    study = load_study("volunteers-dilemma")
    for size, game in ((n, study.environments[f"{n} players"]) for n in (2, 3, 6, 9, 12)):
        assert game.players == size
        mine = raw[raw["group_size"] == size].drop_duplicates(["volunteer", "n_volunteers"])
        for row in mine.itertuples():
            others = row.n_volunteers - row.volunteer
            joint = np.array([1 - row.volunteer] + [0] * others + [1] * (size - 1 - others))
            paid = game.payoffs(joint, game.params)[0]
            assert float(paid) == pytest.approx(row.earnings, abs=1e-6)


def test_more_people_volunteer_in_smaller_groups():
    study = load_study("volunteers-dilemma")
    rates = study.decisions.describe()["volunteer"].droplevel("role").round(3).to_dict()
    assert rates == {
        "2 players": 0.516, "3 players": 0.396, "6 players": 0.273, "9 players": 0.194, "12 players": 0.188,
    }  # fmt: skip
    rounds = codes(study).groupby("participant")["round"].agg(["min", "max", "size"])
    assert rounds.drop_duplicates().to_numpy().tolist() == [[1, 20, 20]]


def test_matrix_games_are_those_of_the_table(zhu):
    table, games = zhu
    assert len(games) == 2416 and len(table) == 93_460 and table["participant"].nunique() == 4673
    raw = pd.read_csv(SHARED / "matrix-games-zhu" / "zhu2024_matrix_games_tidy.csv.gz")
    rng = np.random.default_rng(0)
    for i in rng.integers(0, len(raw), 200):
        row, mine = raw.iloc[i], table.iloc[i]
        payoffs = games[mine["game"]].params["payoffs"]
        chosen = ["rAC", "rAD"] if row["choice"] == "A" else ["rBC", "rBD"]
        other = [name.replace("r", "c", 1) for name in chosen]
        # What the chosen row pays the two players, whatever the order of columns.
        shown = sorted(zip(row[chosen], row[other], strict=True))
        assert sorted(zip(*payoffs[:, mine["action"]], strict=True)) == shown


def test_a_game_is_one_however_it_was_displayed(zhu):
    table, games = zhu
    assert len({g.params["payoffs"].tobytes() for g in games.values()}) == 2416
    assert table.groupby("game")["rows_swapped"].nunique().eq(2).all()
    raw = pd.read_csv(SHARED / "matrix-games-zhu" / "zhu2024_matrix_games_tidy.csv.gz")
    assert (raw["choice"] == "A").mean() == pytest.approx(0.5, abs=0.005)  # displays were shuffled, choices are not
    dominated = [n for n, g in games.items() if (g.params["payoffs"][0, 1] > g.params["payoffs"][0, 0]).all()]
    assert len(dominated) > 100
    assert table[table["game"].isin(dominated)]["action"].mean() > 0.8


def test_payoffs_that_contradict_the_game_are_named(tmp_path):
    text = gzip.decompress((SHARED / "matrix-games-zhu" / "zhu2024_matrix_games_tidy.csv.gz").read_bytes()).decode()
    head, *rows = text.splitlines()
    same = [row for row in rows if row.split(",")[2] == "151"][:5]
    broken = same[2].split(",")
    broken[3] = "99"
    (tmp_path / "games.csv").write_text("\n".join([head, *same[:2], ",".join(broken), *same[3:]]))
    with pytest.raises(InputError, match=r"games.csv, columns rAC.*, line \d: the payoffs of game '151'"):
        read_with("matrix-games-zhu", tmp_path / "games.csv", {})


def test_public_goods_pay_the_mean_return_and_come_in_two_designs():
    study = load_study("public-goods")
    raw = pd.read_csv(SHARED / "public-goods" / "alsobay_pgg_tidy.csv.gz")
    assert len(study.environments) == 87 == raw.groupby(["group_size", "mpcr"]).ngroups
    sizes = [len(g.action_values[0]) for g in study.environments.values()]
    assert (sizes.count(2), sizes.count(21)) == (44, 43)  # half the designs were all or nothing
    game = study.environments["7 players, return 0.5429"]
    assert (game.players, game.mpcr, game.endowment) == (7, 0.5429, 20.0)
    given = np.array([10, 20, 0, 5, 20, 1, 7])
    paid = np.asarray(game.payoffs(given, game.params))
    np.testing.assert_allclose(paid, 20 - given + 0.5429 * given.sum(), rtol=1e-6)
    table = codes(study)
    assert table["group"].nunique() == 180
    assert table["action"].astype(float).mean() == pytest.approx(raw["contribution"].mean(), abs=1e-9)
    plain = load_study("public-goods", where="chat == 0 and punish == 0 and reward == 0")
    assert plain.decisions.table["group"].nunique() == 21


def test_cooperation_in_repeated_dilemmas_is_that_of_the_file():
    table = codes(load_study("repeated-pd"))
    reading, _ = read_with("repeated-pd", SHARED / "repeated-pd" / "DBF2011.txt.gz", {})
    cooperates = table["action"] == "cooperate"
    by_game = 100 * cooperates.groupby(table["game"]).mean()
    first = 100 * cooperates[table["state"] == 0].groupby(table["game"][table["state"] == 0]).mean()
    games = [f"R {r}, delta {d}" for d in ("0.5", "0.75") for r in (32, 40, 48)]
    # Means of the file's column coop by r and delta, in per cent: of first rounds, and of all.
    np.testing.assert_allclose(first[games], [9.81, 18.72, 38.97, 25.61, 61.10, 85.07], atol=0.006)
    np.testing.assert_allclose(by_game[games], [9.82, 17.98, 35.29, 20.25, 58.71, 76.42], atol=0.006)
    assert (reading["state"] == 0).equals(reading["match_round"] == 1)


def test_what_was_seen_in_a_repeated_dilemma_is_the_last_round_of_the_match(tmp_path):
    head = "* Dictionary *\nmatch:\t\tmatch #\n\nmatch\tround\tdate\tr\tdelta\tcoop\tgroup\tid\n"
    rows = [
        (1, 1, 1, 7), (1, 1, 0, 3), (1, 2, 0, 7), (1, 2, 1, 3), (1, 3, 1, 7), (1, 3, 1, 3),  # match, round, coop, id
        (2, 1, 0, 3), (2, 1, 0, 7), (2, 3, 1, 3), (2, 3, 0, 7),
    ]  # fmt: skip
    text = head + "".join(f"{m}\t{r}\t9.1\t40\t.75\t{c}\t{50 + m}\t{i}\n" for m, r, c, i in rows)
    (tmp_path / "pd.txt").write_text(text)
    table, games = read_with("repeated-pd", tmp_path / "pd.txt", {})
    # Person 3 is player 1. Person 7 alone cooperated first: player 1 defected.
    assert table["role"].tolist() == ["player 2", "player 1"] * 3 + ["player 1", "player 2"] * 2
    np.testing.assert_array_equal(table["state"], [0, 0, 3, 3, 2, 2, 0, 0, np.nan, np.nan])
    assert table[table["participant"] == 7]["round"].tolist() == [1, 2, 3, 4, 5]
    game = games["R 40, delta 0.75"]
    np.testing.assert_array_equal(game.params["payoffs"][0], [[[40, 12], [50, 25]], [[40, 50], [12, 25]]])
    assert game.params["transitions"][:, 1, 0, 3].tolist() == [1.0] * 5 and game.discount == 0.75
    decisions = bc.Decisions.from_table(table, games)
    assert decisions.play.masked == 2  # round 2 of the second match is not there

    (tmp_path / "pd.txt").write_text(text.rsplit("\n", 2)[0] + "\n")
    with pytest.raises(InputError, match="a match is played by two"):
        read_with("repeated-pd", tmp_path / "pd.txt", {})


def test_options_are_those_of_the_games():
    study = load_study("repeated-pd", options={"discount": 0.0}, where="match == 1")
    assert {g.discount for g in study.environments.values()} == {0.0}
    with pytest.raises(InputError, match="cannot be built with colour"):
        load_study("volunteers-dilemma", options={"colour": 1})


@pytest.mark.parametrize("name", [n for n in NAMES if dataset(n).reader])
def test_a_file_with_other_columns_is_refused(name, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("match\ta\n1\t2\n" if name == "repeated-pd" else "a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other.csv has no column '\w+'.*it has (a, b|match, a)"):
        load_study(name, data=other)


def test_cells_that_are_no_numbers_are_named(tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("group_size,group,round,subject,guess\n2,1,1,1,50\ntwo,1,1,2,50\n")
    with pytest.raises(InputError, match=r"other.csv, column 'group_size': line 3 holds 'two'"):
        load_study("beauty-contest-mturk", data=other)


# Where the table is found.
def test_tables_are_found_below_the_folder_that_is_named_and_then_in_the_cache(tmp_path, monkeypatch):
    told = dataset("nagel-1995")
    assert find_table(told) == SHARED / told.external
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "empty"))
    assert find_table(told) is None
    cached = tmp_path / "cache" / "bayescal" / told.external
    cached.parent.mkdir(parents=True)
    shutil.copyfile(SHARED / told.external, cached)
    assert find_table(told) == cached
    monkeypatch.delenv(DATA_DIR)
    assert find_table(told) == cached
    assert load_study("nagel-1995").decisions.total == 67


def test_a_table_may_be_compressed_and_is_known_by_what_it_holds(tmp_path, monkeypatch):
    told = dataset("nagel-1995")
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    place = tmp_path / f"{told.external}.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress((SHARED / told.external).read_bytes()))
    assert load_study("nagel-1995").decisions.total == 67
    place.write_bytes(gzip.compress(b"session,id"))
    with pytest.raises(InputError, match=f"Nagel95.csv.gz is not the file.*{told.sha256}"):
        load_study("nagel-1995")
    place.write_bytes(place.read_bytes()[:20])  # broken off
    with pytest.raises(InputError, match=r"Nagel95.csv.gz is not the file"):
        load_study("nagel-1995")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_that_is_not_here_is_answered_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    with pytest.raises(InputError) as error:
        load_study(name)
    said = str(error.value)
    assert f"bayescal data add {name}" in said and str(tmp_path / dataset(name).external) in said
    assert ("fetches" in said) == (name in ORIGINAL) and "--data FILE" in said and "\n" not in said


# Adding it.
@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty place for tables, and a network that is the shared folder."""
    monkeypatch.delenv(DATA_DIR)
    asked = []

    def retrieve(url, known_hash, fname, path, **rest):
        asked.append(url)
        (source,) = [p for p in SHARED.rglob(f"{fname}*") if p.name in (fname, f"{fname}.gz")]
        content = source.read_bytes()
        out = Path(path) / fname
        out.write_bytes(gzip.decompress(content) if source.suffix == ".gz" else content)
        return str(out)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    return tmp_path / "cache" / "bayescal", asked


@pytest.mark.parametrize("name", ORIGINAL)
def test_an_original_is_fetched_once_into_the_cache(name, elsewhere):
    cache, asked = elsewhere
    told = dataset(name)
    path = add_table(name)
    assert path == cache / told.external
    assert asked == [told.address] and told.address.startswith("https://raw.githubusercontent.com/")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == told.sha256
    assert load_study(name).decisions.total == told.decisions
    assert add_table(name) == path and len(asked) == 1


def test_without_a_network_the_sentence_says_where_to_put_the_file(elsewhere, monkeypatch):
    cache, _ = elsewhere

    def retrieve(*args, **named):
        raise OSError("HTTPSConnectionPool(host=...): Max retries exceeded")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(InputError) as error:
        add_table("nagel-1995")
    said = str(error.value)
    assert dataset("nagel-1995").address in said and str(cache / "beauty-contest" / "Nagel95.csv") in said
    assert "could not be fetched (OSError)" in said and "--file FILE" in said
    assert not cache.exists()


def test_a_fetched_file_with_another_sum_is_refused_with_both_and_not_kept(elsewhere, monkeypatch):
    cache, _ = elsewhere

    def retrieve(url, known_hash, fname, path, **rest):
        (Path(path) / fname).write_text("a page that says sorry")
        return str(Path(path) / fname)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(InputError) as error:
        add_table("nagel-1995")
    found = hashlib.sha256(b"a page that says sorry").hexdigest()
    assert found in str(error.value) and dataset("nagel-1995").sha256 in str(error.value)
    assert not cache.exists()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ORIGINAL])
def test_what_is_not_the_original_is_to_be_given(name, elsewhere):
    cache, asked = elsewhere
    told = dataset(name)
    with pytest.raises(InputError) as error:
        add_table(name)
    for word in (told.address, told.derived, told.sha256, str(cache / told.external), "--file FILE"):
        assert word in str(error.value)
    assert asked == [] and "\n" not in str(error.value)
    assert add_table(name, SHARED / told.external) == cache / told.external
    assert find_table(told) == cache / told.external
    assert [p.name for p in (cache / told.external).parent.iterdir()] == [Path(told.external).name]


def test_a_given_file_is_checked_and_may_be_compressed(elsewhere, tmp_path, monkeypatch):
    cache, _ = elsewhere
    with pytest.raises(InputError, match=r"does not exist: give the file Nagel95.csv"):
        add_table("nagel-1995", tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        add_table("nagel-1995", tmp_path)
    (tmp_path / "x.csv").write_text("session,id\n")
    with pytest.raises(InputError, match=r"x.csv is not the file that dataset.toml describes: its sha256 is \w{64}"):
        add_table("nagel-1995", tmp_path / "x.csv")
    assert not cache.exists()
    path = add_table("repeated-pd", SHARED / "repeated-pd" / "DBF2011.txt.gz")
    assert path.name == "DBF2011.txt" and path.read_bytes()[:10] == b"* Dictiona"
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "mine"))
    assert add_table("nagel-1995", SHARED / "beauty-contest" / "Nagel95.csv").is_relative_to(tmp_path / "mine")


def test_what_ships_is_not_added():
    with pytest.raises(InputError, match="selten-chmura comes with its table"):
        add_table("selten-chmura")
