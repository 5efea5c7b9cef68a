"""Train, in one file for each way to do it: `stage` opens and closes, `fs4` and `baselines` train in a `workshop`."""
