import argparse
import logging
from types import SimpleNamespace

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from tidecaster.data import gauge_loaders
from tidecaster.hooks import LossLogger, OrthogonalRecurrence
from tidecaster.task import TideTask


def fit_plain(model, loader, epochs, hooks=()):
    """For the cluster where Lightning does not install. Same loss as the task's."""
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    state = SimpleNamespace(model=model, loss=None, epoch=0)
    for state.epoch in range(epochs):
        for i, batch in enumerate(loader):
            state.loss = model.training_step(batch, i)
            for hook in hooks:
                hook.after_loss(state)
            opt.zero_grad()
            state.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
        print("epoch", state.epoch, "loss", float(state.loss))
    return model


def main(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument("--csv", required=True)
    p.add_argument("--target", default="harbour")
    p.add_argument("--horizon", type=int, default=48)
    p.add_argument("--epochs", type=int, default=50)
    p.add_argument("--plain", action="store_true")
    args = p.parse_args(argv)

    logging.basicConfig(level=logging.INFO)
    train, val, test = gauge_loaders(args.csv, args.target, args.horizon)
    model = TideTask(n_in=train.dataset[0][0].size(1), horizon=args.horizon)
    if args.plain:
        fit_plain(model, train, args.epochs, [OrthogonalRecurrence(), LossLogger()])
        torch.save(model.state_dict(), "plain.pt")
        return
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        callbacks=[EarlyStopping("val/loss", patience=8), ModelCheckpoint(monitor="val/loss")],
    )
    trainer.fit(model, train, val)
    trainer.test(model, test)


if __name__ == "__main__":
    main()
