"""A model of the whole way that predicts rates on other machines from the costs that were measured on one."""
