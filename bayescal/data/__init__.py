"""Studies: tables of human decisions with the games that they were made in."""

from bayescal.data.study import Study, load_study, study_names

__all__ = ["Study", "load_study", "study_names"]
