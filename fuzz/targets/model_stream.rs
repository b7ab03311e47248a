#![cfg_attr(fuzzing, no_main)]

bzzz_fuzz::target!(bzzz_fuzz::model_stream);
