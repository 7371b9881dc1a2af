"""One file per model; `training.models.build.build` finds a model by its file's name."""
