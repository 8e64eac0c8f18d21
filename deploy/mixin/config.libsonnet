// Settings of rules, alerts and dashboards. To change one, import mixin.libsonnet and
// override it:
//   (import 'mixin.libsonnet') { _config+:: { intervalMinutes: 60 } }
{
  _config+:: {
    local c = self,

    // The longest scrape interval of the probe jobs, in minutes.
    intervalMinutes: 5,
    // The longest evaluation interval of the rules, in minutes.
    evaluationMinutes: 2,
    // How far rules look back for the last sample of a target: three intervals, so that
    // two lost scrapes have no effect. Prometheus itself looks back five minutes.
    window: '%dm' % (3 * c.intervalMinutes),
    // Alerts about targets need two observations of a problem within this time. It is one
    // interval longer than the window, so that two lost scrapes do not end an alert. It is
    // twice as long as "for", so that an alert fires if two problems alternate.
    confirmationWindow: '%dm' % std.max(20, 4 * c.intervalMinutes),
    // How far rules look back for probes that alternate between failure and success.
    flappingWindow: '%dm' % std.max(120, 12 * c.intervalMinutes),
    // How long the last known verdict on a target stands, in hours, while the target cannot
    // be judged or the exporter is down. After that time, only the alerts about the missing
    // verdicts remain.
    memoryHours: 6,
    memory: '%dh' % c.memoryHours,
    // How far rules look back for metrics of the exporter. The increase of a counter needs
    // at least two samples, so the window is not shorter than ten minutes.
    exporterWindow: '%dm' % std.max(10, 3 * c.intervalMinutes),

    // DaneZoneBroken: the minimum number of targets that are refused only because of the zone.
    zoneTargets: 3,
    // How long a target belongs to its zone at fault after the last probe that found it, in
    // minutes: until the next probe. A single probe that does not find the zone changes no alert.
    zoneMinutes: c.intervalMinutes + 2,

    // DaneMassLoss: the share of the protected targets of a job that lose a protection within
    // lossMinutes, and their minimum number. Each target is probed within that time. Resolvers
    // keep DS records until their TTL ends, which is a day below com and de. If all DS records are
    // removed there, resolvers see 4 % of the losses in an hour.
    lossShares: { authenticated: 0.05, tlsa: 0.05, ds: 0.02 },
    lossTargets: 5,
    lossMinutes: std.max(60, 2 * c.intervalMinutes),
    // How long the alert continues if the targets do not get the protection back.
    lossStands: '1d',

    // The labels that the scrape configuration gives to a target. Two modules of one
    // instance, or two exporters that probe it, are kept apart. Texts of alerts use these
    // four; add a label, such as cluster, if your targets are the same in several. A label
    // that tells replicas of one Prometheus apart, such as replica of HA rulers, must be
    // deduplicated before the rules. Otherwise findings alternate, and the "for" period
    // starts again.
    targetLabels: ['job', 'instance', 'module', 'exporter'],
    // Selects the probe jobs among all scrape jobs: only they have a label module.
    probeSelector: 'module!=""',
    // Selects the jobs that scrape the exporter's own metrics.
    exporterSelectors: ['module="", exporter!=""', 'module="", job=~"dane[-_]exporter.*"'],

    // DaneSignaturesNearEnd: the share of the validity period that is left. A number of
    // days does not fit all signers. An online signer creates signatures that are valid for
    // two days, and half of that period is always left. A signer with a validity of two or
    // four weeks signs again well before a fifth is left.
    signatureShare: 0.15,
    // Alerts about the expiry of certificates: they fire if less than this share of the
    // lifetime is left. ACME clients renew earlier: when a third is left, or half of a
    // lifetime of less than ten days. The lifetime is infinite if the start is not known. The
    // advice in reports has the same rule: late.json is generated from the code.
    certificateShare: (import 'late.json').share,
    // DaneAuthenticationEnds: at most so many days until DANE authentication fails.
    authenticationDays: 7,
    // DanePKIXExpiryNear, DaneRolloverNotReady, DaneMTASTSCertificateExpiryNear: at most so
    // many days until the certificate expires.
    certificateDays: (import 'late.json').days,
    // DaneRolloverNotReady, if a renewal with the same key breaks DANE too: the share of the
    // lifetime that is left before ACME clients renew, and the maximum days until the expiry.
    renewalShare: 0.4,
    renewalDays: 35,
    // The share for certificates with a lifetime of less than so many days.
    shortLifetimeDays: 10,
    shortRenewalShare: 0.6,
    // DaneTLSARecordsGone: the past period in which the service must have had records.
    recordsWindow: '1d',
    // DaneDomainUnreachable, DaneDomainNotJudged: minutes that the condition must hold. They
    // fire after DaneExporterBlind and DaneNoResolver, which inhibit them.
    unreachableMinutes: std.max(30, 3 * c.intervalMinutes + 15),
    notJudgedMinutes: std.max(30, c.intervalMinutes + 15),
    // DaneNameserverInconsistent, alerts about MTA-STS: minutes that the condition must hold.
    // Secondary nameservers update with a delay. They fire after DaneDomainUnreachable, which
    // inhibits them.
    inconsistentMinutes: c.unreachableMinutes + 5,
    // DaneParentInconsistent: minutes that the condition must hold. The exporter queries the
    // parents once an hour, so two of its results were inconsistent.
    parentMinutes: 90 + c.intervalMinutes,
    // DaneRootKeyWithoutAnchor: minutes that the condition must hold. The root publishes new
    // keys months before they sign.
    rootKeysMinutes: 360,

    // Links of alerts. EXPORTER is replaced by the address of the exporter that probed the
    // target: its --web.external-url if that is set, otherwise http:// and the label
    // exporter, otherwise exporterUrl.
    exporterUrl: 'https://dane-exporter.example',
    reportUrl: 'EXPORTER/report',
    runbookUrl: 'EXPORTER/docs/runbook.md',
  },
}
