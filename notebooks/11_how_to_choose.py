# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How to choose: models, inference, comparisons, commands
#
# A reference page. Each section answers one question: what can be modelled, how to sample it, which model predicts best,
# what a game over time needs, and what the command line offers.

# %%
import warnings

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
game = study.environments["selten-chmura-01"]

# %% [markdown]
# ## One cost for all, or private costs that differ?
#
# A policy without a population is for costs that everybody knows. With a population, each player's cost is private and
# drawn from it, and everybody replies to the average of the population.

# %%
print(bc.equilibrium(game, cost=0.8).strategies)
crowd = bc.ExactPolicy(game, population=bc.populations.LogNormal())
print(crowd.solve(phi={"log_mean": 0.0, "log_sd": 0.5}).strategies)

# %%
model = bc.build_model(bc.ExactPolicy(game), bc.populations.Homogeneous(), study.decisions)
fit = bc.infer(model, bc.Grid())
print(fit.status)
fit.summary(["cost"])[["mean", "sd"]].round(3)

# %% [markdown]
# ## What `build_model` can vary
#
# Where a table says who decided, each person gets a cost. Others in the game do not know it: they believe to meet people
# like those in the data, so the inferred population is also the one in the equilibrium.
#
# | you want | say |
# |---|---|
# | every cost sampled; integrated out; or integrated out in a time independent of the number of decisions | `method="joint"`, `"marginal"`, `"compressed"` |
# | costs that depend on people's characteristics | `covariates="~ treatment + age"` |
# | treatments whose people meet only each other | `groups="treatment"` |
# | lapses | `lapse=True` |
# | costs that change over the rounds | `learning=True` |
# | latent classes of people | `population=Mixture((LogNormal(), LogNormal()))` |
# | habits with inferred parameters: one for all, by group, by person | `prior_parameters="shared"`, `"group"`, `"participant"` |
# | beliefs that differ from the truth | `beliefs="free"`, or fixed at `{"log_mean": 2.0, "log_sd": 0.5}` |
#
# `"compressed"` works on an `Evidence`: each person's likelihood as a polynomial in the shared parameters. Its error is
# measured (at most 1e-3 nats a person, else it falls back and says so), it adds up over shards, and it is saved in one
# file. Costs that are integrated out are drawn afterwards: `fit.tree["posterior"]["cost"]`. `fit.identifiability()` says
# what the data determine and what they cannot; `bc.reweight(fit, model)` says whether a learned policy is good enough for
# these data, and weights its draws to the exact posterior.
#
# Habits are priors: `Previous`, `Naive` (the last demand or price), `Adaptive`, `Usual`, `Centre`, `Repeat`, `Focal` and
# their `Product`, with parameters that can be inferred. Every model is an ordinary NumPyro model that can be part of a
# larger one (notebook 10).
#
# ## Which inference?
#
# | settings | for |
# |---|---|
# | `bc.NUTS()` | everything; the reference |
# | `bc.Grid()` | one to three parameters: exact up to the spacing of the grid |
# | `bc.SVI(guide="full-rank")` | a quick approximation, with a diagnostic of its distance to the posterior |
# | `bc.maximum_likelihood(model)` | a point estimate with standard errors |
#
# ## Which model predicts best?
#
# `bayescal compare STUDY` fits every rival model to the same decisions on the same grid, and compares them out of sample.
#
# | rival | what it says |
# |---|---|
# | choice shares; logit without payoffs | no payoffs: each action has its probability; people (and games) lean to something |
# | random play; prior only | any action; the habit, whatever it pays |
# | rational | the Nash equilibrium, or the optimum, with lapses |
# | plain RL | a learned policy at its smallest cost, with lapses |
# | common cost | one cost of information for everybody: logit quantal response equilibrium |
# | different costs; with inferred prior | each person has a cost, from a population; and a habit whose strength is inferred |
# | common cost, by game; different costs, by group | the same, with costs of games or groups around a common mean |
# | level-k, cognitive hierarchy | best replies to the level below, with lapses; quantal replies to all lower levels |
# | GR2-L, GR2-M | recursive replies to imagined actions of the level below, or of all lower levels |
#
# The score is the log-probability of each person's decisions given everybody else's (of each game's where nobody is
# named), with the person's cost, level or type integrated out. It is computed with Pareto-smoothed importance weights.
# Where these are unreliable, one sampler of a mixture of leave-one-out posteriors takes their place, or a refit and a
# bridge between the posteriors with and without. `--folds 5` leaves whole groups out; `--ablation` crosses populations of
# costs with priors.
#
# Names say what a model is made of beyond a uniform prior, people who are alike and one set of numbers for all games:
# "cognitive hierarchy, different costs, inferred prior". The verdict says first what each ingredient is worth, from pairs of
# models that differ in nothing else, and how far the best model with payoffs is ahead of the best without. `--plan` lists
# the models and about how long they take; `--full` fits the whole cross.
#
# ```python
# study = bc.load_study("cournot-simulated")
# fits, found = bc.compare_study(study, only=["rational", "common cost", "different costs"], draws=300, chains=2)
# print(found.verdict)
# print(found.table)  # elpd, differences with standard errors, stacking weights, k-hat
# print(bc.check(fits["different costs"], study=study))  # sampler, bounds, predictions, LOO-PIT, sensitivity
# ```
#
# ### What the comparisons found
#
# The README has the table. In words:
#
# - `selten-chmura`: twelve games do not distinguish different costs from one cost (56 ± 74 nats in all), nor from the
#   cognitive hierarchy.
# - `newsvendor-expedited`: habit explains what newsvendors do. No model without it comes near, and with it their costs add
#   3 ± 5 nats.
# - `nagel-1995`: 67 single guesses do not distinguish habit alone from costs beside it (1 ± 2 nats), or either from levels
#   of reasoning; rational play is 27 ± 8 nats behind.
# - `volunteers-dilemma`: different costs with an inferred habit win, 85 ± 25 nats ahead of the cognitive hierarchy. Without
#   the habit the fit did not converge: 387 of the 400 effective draws, and R-hat 1.011.
# - `matrix-games-zhu`: in 2,416 games the cognitive hierarchy is 956 ± 86 nats ahead of different costs; it predicts 74.2%
#   of a new person's choices. Common cost with the study's level-1 beliefs is the level-1 logit that was published at
#   0.5631 nats and 73.8% (Zhu, Peterson, Enke & Griffiths 2024).
#
# The noise floor is the best that a model can do without knowing who decides. Models that learn from a person's other
# decisions may pass it where people differ.
#
# ![Which model wins, by the true one](confusion.png)
#
# *Can the comparison distinguish the models? Fifty data sets of 20 × 10 decisions were simulated from each of nine models;
# the figure shows the share in which each model wins. In the 33 pairs that so few decisions can distinguish (expected to
# differ by more than four standard errors) the true model is ahead every time. The other pairs are marked "close".*
#
# `bayescal check`, `bayescal sbc` and `bayescal recover` test whether a fit, and the whole pipeline, can be trusted.
# `--self-test` plants an error of a tenth of all costs, which they must find.
#
# ## Games over time
#
# What people observe changes from round to round: stock, prices, their own last decision. A game over time defines what is
# observed and rebuilds it from recorded decisions. The rest is as before:
#
# ```python
# buses = bc.load_study("bus-engine", data="rust_bus_panel.csv.gz", where="group == 4")
# policy = bc.ExactPolicy(buses.decisions.environments["bus-engine"])
# model = bc.build_model(policy, bc.populations.Homogeneous(), buses.decisions, cost=1.0, parameters=("RC", "theta11"))
# print(bc.maximum_likelihood(model).values)  # Rust (1987): RC 10.0749, theta11 2.2931
# print(bc.infer(model, bc.Grid()).summary())
# ```
#
# The concept is trajectory-KL: a person's own future cost of information counts. Agent quantal response equilibrium, in
# which it does not, is available by name (`concept="agent"`). `bayescal simulate` plays any game into a table that the
# loader reads, and `bc.Agents.from_fit` draws people from a posterior for a simulation of your own (notebook 4). Recorded
# numbers that contradict the game (stock that does not add up, a price that the forecasts do not imply) are reported with
# their rows and by how much, and never repaired.
#
# ## Learned policies
#
# The network predicts the value of each action, `logits = log q + Q/λ`, so an infinite cost gives the habit and a vanishing
# one the best reply, whatever was learned. The model draws inside the policy's trained domain by construction, and the fit
# reports how much of the posterior lies at its bounds. A certificate measures the divergence from the exact solution inside
# the domain and at its corners, the error of the score, and the number of decisions up to which that error is below a tenth
# of the posterior sd (notebook 8). `bayescal train` trains a model again. After Ctrl-C the same command resumes, and the
# result is the same to the bit.
#
# ## From the command line
#
# ```sh
# bayescal games                                          # the games that have a name
# bayescal solve stag-hunt --cost 0.5                     # an equilibrium
# bayescal solve mygame.json --cost 0.5,2 --json          # {"payoffs": payoffs[player][a1][a2]…}, any number of players
# bayescal solve chicken --types '[[0.2, 0.3], [1, 0.7]]' # private costs: heterogeneous QRE
# bayescal solve kuhn-poker --cost 0.2                    # a game over time: choices in every situation
# bayescal calibrate my-experiment/                       # a folder with dataset.toml and a CSV
# bayescal calibrate selten-chmura --policy normal-form-2x2
# bayescal calibrate bus-engine --data buses.csv --where "group in [1, 2, 3]" --method mle --json
# bayescal calibrate newsvendor-expedited --data newsvendor_tidy.csv.gz
# bayescal calibrate my-study --covariates "~ treatment" --lapse
# bayescal calibrate cournot-simulated --resume           # continues an interrupted run: the same draws
# bayescal calibrate cournot-simulated --method svi --guide full-rank
# bayescal simulate bus-engine --cost 1 --groups 10 --seed 1 --out buses.csv
# bayescal models                                         # the learned policies, their domains and certificates
# bayescal train cournot                                  # train one again; or a folder with an experiment.py
# bayescal certify cournot --points 1000                  # measure one again
# bayescal data list                                      # studies that ship, and registered public ones
# bayescal data describe volunteers-dilemma
# bayescal data add nagel-1995                            # fetch it, or say which file to get and where to put it
# bayescal data template cobweb-stable --out my-study     # a commented dataset.toml and an example table of your game
# bayescal data validate my-study                         # all faults at once
# bayescal compare nagel-1995 --only "level-k" --only "common cost"
# bayescal compare volunteers-dilemma --folds 5           # whole groups left out
# bayescal check cournot-simulated                        # diagnostics of a fit
# bayescal sbc cournot-simulated --replicates 100         # does the pipeline recover its parameters?
# bayescal recover cournot-simulated --self-test          # and would it notice costs that are a tenth too high?
# bayescal report bayescal-out/cournot-simulated/people.nc  # the report again, from the saved fit
# ```
#
# A study of your own is a tidy CSV (one row a decision: participant, group, game, role, round, action; or one row a count,
# with a column `n`) and a `dataset.toml` that names its columns and its games; `data/selten-chmura/dataset.toml` is a
# complete one. Spreadsheets with a column a subject or a round are reshaped by a section `[wide]`; Parquet is read too.
# Bad rows are reported all at once, each with the file, the line, what was found and what to do.
#
# ## What other programs do
#
# | question | bayescal | [Gambit](https://www.gambit-project.org) | hand-written Stan / NumPyro | hBayesDM |
# |---|---|---|---|---|
# | the equilibrium at any cost, on the principal branch | yes | yes | your own solver | no |
# | a habit other than uniform | yes | by shifting payoffs | by hand | no |
# | private, heterogeneous costs | any population | as a Bayesian game with a few types | by hand | per person, without equilibrium |
# | posteriors, not point estimates | NUTS | maximum likelihood | yes | yes |
# | derivatives of the equilibrium in costs, habit and payoffs | exact, both modes | no | autodiff through your loop | – |
# | a thousand games at once | `vmap` | one at a time | – | – |
# | twelve firms with 101 quantities | through the rivals' total | a tensor of 101¹² | by hand | – |
#
# Measured on two CPU cores (`tests/benchmarks`; figures in the CHANGELOG): once compiled, a game is solved faster than in
# Gambit 16.7, and a thousand games of one shape at more than a hundred times Gambit's rate for one.
